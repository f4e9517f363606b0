"""What a peer does not take as it came is sent in another form, or dead-lettered where it has none."""

import io
import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from as_they_are import send
from corpus import FILES, data_set_bytes, make_corpus, uid_of
from gateways import LoneGateway
from healthy import HealthyClient
from manifests import changed
from pdus import data_set
from peer import Answered, Peer, new_uid
from processes import wait_until
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from routes import local_node, local_route, pacs, secret, to_pacs
from running import Running
from scripted_scp import Acceptor, ScriptedSCP
from storescp import StoreSCP

Lone = Callable[..., LoneGateway]
KEYS = {"keySecretRef": {"name": "spool-key", "key": "keys"}}
NATIVE = (
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "rtplan.dcm",
    "image_dfl.dcm",
    "reportsi.dcm",
    "examples_overlay.dcm",
)


@pytest.fixture
def implicit_peer(tmp_path: Path) -> Iterator[StoreSCP]:
    peer = StoreSCP(tmp_path / "kept", "+B", "+xi", "--fork")
    yield peer
    peer.stop()


def parsed(data: bytes, syntax: str) -> Dataset:
    return pydicom.filereader.read_dataset(
        io.BytesIO(data), syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian, bytelength=len(data)
    )


def elements(one: Dataset) -> dict[str, object]:
    """Return what a data set holds but its pixels, by tag; sequences as what their items hold."""
    return {
        str(element.tag): [elements(item) for item in element.value] if element.VR == "SQ" else str(element.value)
        for element in one
        if element.tag.element and element.keyword != "PixelData"
    }


def pixels(one: Dataset, syntax: str) -> bytes:
    data: bytes = one.get("PixelData", b"")
    if syntax != ExplicitVRBigEndian or one["PixelData"].VR != "OW":
        return data
    words = array("H", data)
    words.byteswap()
    return words.tobytes()


def assert_arrived_as_implicit(files: list[Path], kept: dict[str, bytes]) -> None:
    assert set(kept) == {uid_of(file) for file in files}
    for file in files:
        came = pydicom.dcmread(file)
        syntax = came.file_meta.TransferSyntaxUID
        arrived = kept[uid_of(file)]
        if syntax == ImplicitVRLittleEndian:
            assert arrived == data_set_bytes(file.read_bytes())
            continue
        made = parsed(arrived, ImplicitVRLittleEndian)
        assert elements(made) == elements(came)
        assert pixels(made, ImplicitVRLittleEndian) == pixels(came, syntax)


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "encrypted"])
def test_a_peer_that_takes_implicit_vr_alone_gets_all_that_is_native(
    tmp_path: Path, run: Callable[..., Running], implicit_peer: StoreSCP, encrypted: bool
) -> None:
    keys = secret("", "spool-key")
    keys["stringData"] = {"keys": "A" * 43 + "="}
    spool = {"size": "8Gi", **({"encryption": KEYS} if encrypted else {})}
    running = run(local_node(), pacs(implicit_peer.port), to_pacs(gateway={"spool": spool}), keys)
    files = make_corpus(tmp_path / "corpus", 3, NATIVE)
    send(running.port, files)
    running.wait_for(owed=0, deliveredTotal=len(files), deadLettered=0)
    assert_arrived_as_implicit(files, implicit_peer.data_sets())


def test_a_peer_that_takes_explicit_vr_alone(tmp_path: Path, lone: Lone) -> None:
    messages: list[bytes] = []

    def script(peer: Acceptor) -> None:
        peer.accept(only=[ExplicitVRLittleEndian])
        message = peer.message()
        messages.append(bytes(message.data))
        peer.respond(message).serve()

    scripted = ScriptedSCP(script)
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted.port), to_pacs()])
    (file,) = make_corpus(tmp_path / "corpus", 1, ("rtplan.dcm",))
    send(gateway.port, [file])
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    (arrived,) = messages
    assert elements(parsed(arrived, ExplicitVRLittleEndian)) == elements(pydicom.dcmread(file))
    scripted.close()


def test_what_came_is_proposed_first_and_sent_where_it_is_taken(tmp_path: Path, lone: Lone) -> None:
    proposed: list[tuple[str, ...]] = []
    syntaxes: list[str] = []

    def script(peer: Acceptor) -> None:
        peer.accept()
        contexts = {one.context_id: one.transfer_syntaxes[0] for one in peer.proposed}
        proposed.append(tuple(contexts.values()))
        message = peer.message()
        syntaxes.append(contexts[message.context_id])
        peer.respond(message).serve()

    scripted = ScriptedSCP(script)
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(scripted.port), to_pacs()])
    send(gateway.port, make_corpus(tmp_path / "corpus", 1, ("MR_small_bigendian.dcm",)))
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    assert proposed == [(ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian)]
    assert syntaxes == [ExplicitVRBigEndian]
    scripted.close()


def test_what_has_no_other_form_says_so_and_keeps_nobody_waiting(
    tmp_path: Path, lone: Lone, implicit_peer: StoreSCP
) -> None:
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(implicit_peer.port), to_pacs()])
    uid = new_uid()
    reaches_beyond_the_end = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1 << 16) + bytes(16)
    peer = Peer(gateway.port).associated()
    assert peer.store(data_set(uid) + reaches_beyond_the_end, uid) == Answered(0)
    peer.release()
    others = make_corpus(tmp_path / "others", 2, ("MR_small.dcm",))
    send(gateway.port, others)
    gateway.wait_for(owed=0, deliveredTotal=2, deadLettered=1)
    (one,) = gateway.get("/api/v1/queue?state=DeadLettered")["items"]
    assert one["reason"] == "TranscodingFailed"
    error = gateway.status()["destinations"][0]["lastError"]
    assert "and cannot be converted: an element reaches beyond what holds it" in error["message"]


COMPRESSED = {
    "MR_small_RLE.dcm": "MR_small.dcm",
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "",
    "SC_rgb_jpeg_dcmtk.dcm": "",
    "JPEG2000.dcm": "",
    "examples_ybr_color.dcm": "",
}
"""Public files, and those of the same pixels in native form."""


def test_a_peer_that_takes_implicit_vr_alone_gets_compressed_images_decompressed(
    tmp_path: Path, lone: Lone, implicit_peer: StoreSCP
) -> None:
    gateway = lone(tmp_path / "gateway", [local_node(), pacs(implicit_peer.port), to_pacs()])
    files = make_corpus(tmp_path / "corpus", 2, tuple(COMPRESSED))
    with HealthyClient(gateway.port) as healthy:
        send(gateway.port, files)
        wait_until(lambda: {uid_of(one) for one in files} <= implicit_peer.data_sets().keys(), "not all have arrived")
    assert healthy.faults == []
    gateway.wait_for(owed=0, deadLettered=0)
    assert gateway.events("delivery.failed") == [], "no decoder dies"
    kept = implicit_peer.data_sets()
    for file in files:
        arrived = parsed(kept[uid_of(file)], ImplicitVRLittleEndian)
        assert len(arrived.PixelData) == arrived.Rows * arrived.Columns * arrived.SamplesPerPixel * (
            arrived.BitsAllocated // 8
        ) * int(arrived.get("NumberOfFrames") or 1)
        if original := COMPRESSED[f"{file.stem.rsplit('-', 1)[0]}.dcm"]:
            assert arrived.PixelData == pydicom.dcmread(FILES / original).PixelData


def test_one_instance_in_three_forms_for_three_destinations(tmp_path: Path, lone: Lone) -> None:
    """Each destination has its own form, byte for byte, and what came is one of them."""
    everything, explicit, implicit = (
        StoreSCP(tmp_path / "everything", "+B", "+xa", "--fork"),
        StoreSCP(tmp_path / "explicit", "+B", "+xe", "--fork"),
        StoreSCP(tmp_path / "implicit", "+B", "+xi", "--fork"),
    )
    peers = {"everything": everything, "explicit": explicit, "implicit": implicit}
    nodes = [changed(pacs(peer.port), "metadata.name", name) for name, peer in peers.items()]
    references = [{"kind": "DicomNode", "name": name} for name in peers]
    rules = [{"name": "everything", "destinations": references}]
    gateway = lone(tmp_path / "gateway", [local_node(), *nodes, local_route(rules=rules)])
    (file,) = make_corpus(tmp_path / "corpus", 1, ("MR_small_jp2klossless.dcm",))
    send(gateway.port, [file])
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    uid, came = uid_of(file), data_set_bytes(file.read_bytes())
    forms = {name: peer.data_sets()[uid] for name, peer in peers.items()}
    for peer in peers.values():
        peer.stop()
    assert forms["everything"] == came
    original = pydicom.dcmread(FILES / "MR_small.dcm").PixelData
    as_explicit = parsed(forms["explicit"], ExplicitVRLittleEndian)
    as_implicit = parsed(forms["implicit"], ImplicitVRLittleEndian)
    assert as_explicit.PixelData == as_implicit.PixelData == original
    assert elements(as_explicit) == elements(as_implicit)
    assert len({len(one) for one in forms.values()}) == 3
