"""What a destination was promised in another form is sent in that form, at every attempt, and never as it came."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from as_they_are import send
from corpus import data_set_bytes, make_corpus, uid_of
from delivering import Start
from gateways import LoneGateway
from manifests import Json, changed
from origin_server import OriginServer, Reply
from processes import wait_until
from pydicom.dataset import Dataset
from routes import local_node, local_route, pacs
from storescp import StoreSCP

from dicomroute_gateway.configuration.recipe import Recipe, Transcode
from dicomroute_gateway.spool.records import DeliveryState

IMPLICIT = "1.2.840.10008.1.2"
IMPLICIT_CT = b"\x08\0\x60\0\2\0\0\0CT" + b"\xe0\x7f\x10\0\4\0\0\0" + b"\1\2\3\4"
EXPLICIT_CT = b"\x08\0\x60\0CS\2\0CT" + b"\xe0\x7f\x10\0OW\0\0\4\0\0\0" + b"\1\2\3\4"
AS_IMPLICIT = Recipe((Transcode(transfer_syntax_uid=IMPLICIT),))
CUT_OFF = b"\x08\0\x60\0CS\x20\0CT"


@pytest.fixture
def server() -> Iterator[OriginServer]:
    one = OriginServer(root="/v2")
    yield one
    one.close()


def test_the_recipe_is_carried_out_once_and_sent_at_every_attempt_and_after_a_restart(
    server: OriginServer, start: Start, tmp_path: Path
) -> None:
    gateway = start()
    received = gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT)
    plain = gateway.receive(EXPLICIT_CT)
    sent: list[bytes] = []

    def busy(_: OriginServer, files: list[bytes]) -> Reply:
        sent.extend(files)
        return Reply(503)

    server.always = busy
    gateway.run(lambda: len(sent) >= 4)
    (derived,) = (tmp_path / "spool" / "derived").iterdir()
    assert derived.name == f"{received.id:012d}-{AS_IMPLICIT.id}.dcm"
    made = derived.stat().st_ino
    gateway.close()
    again = start()
    again.run(lambda: len(sent) >= 6)
    assert derived.stat().st_ino == made
    assert len(set(sent)) == 2
    server.always = None
    again.run(lambda: again.is_settled() and not derived.exists())
    assert server.has(received.sop_instance_uid, IMPLICIT_CT)
    assert server.has(plain.sop_instance_uid, EXPLICIT_CT)


def test_without_its_recipe_nothing_of_it_is_sent_and_the_others_are(
    server: OriginServer, start: Start, tmp_path: Path
) -> None:
    gateway = start()
    treated = gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT)
    gateway.close()
    recipe = tmp_path / "spool" / "recipes" / f"{AS_IMPLICIT.id}.json"
    kept = recipe.read_bytes()
    recipe.unlink()
    again = start()
    others = [again.receive(EXPLICIT_CT) for _ in range(3)]

    def said() -> bool:
        delivery = again.delivery(treated)
        passed = all(again.delivery(one) is None for one in others)
        return passed and delivery is not None and delivery.reason == "RecipeMissing"

    again.run(said)
    assert treated.sop_instance_uid not in server.files
    error = again.worker.last_error
    assert error is not None
    assert f"recipes/{recipe.name}" in error.message
    recipe.write_bytes(kept)
    again.run(again.is_settled)
    assert server.has(treated.sop_instance_uid, IMPLICIT_CT)


def test_what_the_recipe_cannot_prepare_is_held_and_never_sent(server: OriginServer, start: Start) -> None:
    gateway = start()
    broken = gateway.receive(CUT_OFF, recipe=AS_IMPLICIT)
    good = [gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT) for _ in range(2)]

    def done() -> bool:
        delivery = gateway.delivery(broken)
        return delivery is not None and delivery.state is DeliveryState.HELD

    gateway.run(lambda: all(gateway.delivery(one) is None for one in good) and done())
    delivery = gateway.delivery(broken)
    assert delivery is not None
    assert delivery.reason == "TranscodingFailed"
    assert broken.sop_instance_uid not in server.files
    assert all(server.has(one.sop_instance_uid, IMPLICIT_CT) for one in good)


class Site:
    """A PACS, a research archive and a teaching archive that take what a gateway sends them by C-STORE."""

    NAMES = ("pacs", "research", "teaching")

    def __init__(self, folder: Path) -> None:
        self.peers = {name: StoreSCP(folder / name, "+B", "+xa", "--fork") for name in self.NAMES}

    def manifests(self, **transforms: list[Json]) -> list[Json]:
        """Return a route to all three; each with the transform that is given for it."""
        nodes = [changed(pacs(peer.port), "metadata.name", name) for name, peer in self.peers.items()]
        rules = [
            {"name": name, "destinations": [{"kind": "DicomNode", "name": name}], "transform": transforms.get(name, [])}
            for name in self.peers
        ]
        return [local_node(), *nodes, local_route(rules=rules)]

    def arrived(self, name: str, uid: str) -> Dataset:
        """Return what a peer got of an instance in Explicit VR Little Endian."""
        data = self.peers[name].data_sets()[uid]
        return pydicom.filereader.read_dataset(io.BytesIO(data), False, True, bytelength=len(data))

    def close(self) -> None:
        for peer in self.peers.values():
            peer.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "site")
    yield one
    one.close()


Lone = Callable[..., LoneGateway]
NORTH = {"replace": {"attribute": "PatientID", "value": '"NORTH-" + instance.PatientID'}}
WITHOUT_NAME = {"remove": {"attribute": "PatientName", "record": False}}


def test_one_instance_for_three_destinations_with_a_treatment_each(tmp_path: Path, lone: Lone, site: Site) -> None:
    gateway = lone(tmp_path / "gateway", site.manifests(research=[NORTH], teaching=[WITHOUT_NAME]))
    files = make_corpus(tmp_path / "corpus", 3, ("CT_small.dcm",))
    send(gateway.port, files)
    gateway.wait_for(owed=0, deliveredTotal=3, deadLettered=0)
    for file in files:
        came = pydicom.dcmread(file)
        assert site.peers["pacs"].data_sets()[uid_of(file)] == data_set_bytes(file.read_bytes())
        research, teaching = (site.arrived(name, uid_of(file)) for name in ("research", "teaching"))
        assert research.PatientID == f"NORTH-{came.PatientID}"
        assert research.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID == came.PatientID
        assert (research.PatientName, research.PixelData) == (came.PatientName, came.PixelData)
        assert "PatientName" not in teaching
        assert "OriginalAttributesSequence" not in teaching
        assert (teaching.PatientID, teaching.PixelData) == (came.PatientID, came.PixelData)
    derived = tmp_path / "gateway" / "spool" / "derived"
    wait_until(lambda: not any(derived.iterdir()), "derived files go with their instances")


def test_a_corrected_transform_is_applied_to_what_the_first_could_not_prepare(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    too_long = {"set": {"attribute": "PatientID", "value": f'"{"x" * 70}"'}}
    gateway = lone(tmp_path / "gateway", site.manifests(research=[too_long]))
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.process.wait_until(lambda: gateway.status()["deliveries"]["held"] == 1, "it is not held")
    (kept,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert (kept["reason"], kept["destination"]) == ("TransformFailed", "DicomNode/research")
    research = next(one for one in gateway.status()["destinations"] if one["name"] == "research")
    assert "set PatientID: the value does not fit LO" in research["lastError"]["message"]
    assert (research["held"], research["pending"]) == (1, 0)
    assert gateway.change("release", instances=[kept["instance"]]) == 1, "it is tried again, and held again"
    gateway.process.wait_until(lambda: gateway.status()["deliveries"]["held"] == 1, "it is not held")
    assert site.peers["research"].data_sets() == {}
    gateway.reconfigure(site.manifests(research=[NORTH]))
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    assert site.arrived("research", uid_of(file)).PatientID.startswith("NORTH-")


def test_what_waits_keeps_its_treatment_when_the_newest_rules_have_none(tmp_path: Path, lone: Lone, site: Site) -> None:
    manifests = site.manifests(research=[NORTH])
    manifests[-1] = changed(manifests[-1], "spec.mode", "HoldDeliveries")
    gateway = lone(tmp_path / "gateway", manifests)
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.wait_for(owed=1)
    gateway.process.kill()
    again = lone(tmp_path / "gateway", site.manifests())
    again.wait_for(owed=0, deliveredTotal=1)
    wait_until(lambda: uid_of(file) in site.peers["research"].data_sets(), "it has not arrived")
    assert site.arrived("research", uid_of(file)).PatientID.startswith("NORTH-"), "what was promised stays"


def test_two_treatments_for_one_destination_hold_the_instance_and_nothing_else(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    manifests = site.manifests(research=[NORTH])
    second = {"name": "second", "destinations": [{"kind": "DicomNode", "name": "research"}]}
    manifests[-1]["spec"]["rules"].append(second)
    gateway = lone(tmp_path / "gateway", manifests)
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.wait_for(owed=1)
    wait_until(lambda: uid_of(file) in site.peers["pacs"].data_sets(), "the PACS waits for nobody")
    (held,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert held["reason"] == "ConflictingTreatment"
    gateway.reconfigure(site.manifests(research=[NORTH]))
    assert gateway.change("release", instances=[held["instance"]]) >= 1
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert site.arrived("research", uid_of(file)).PatientID.startswith("NORTH-")
