"""A rule that de-identifies: what goes to research has no name, what goes to the PACS has; nothing is ever mixed up."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from as_they_are import send
from corpus import data_set_bytes, make_corpus, uid_of
from delivering import Start
from gateways import LoneGateway
from manifests import REMOVED, Json, changed, profile, target
from origin_server import OriginServer, Reply
from pydicom.dataset import Dataset
from routes import local_node, local_route, pacs
from storescp import StoreSCP
from treated_ct import KEY, ct, step

from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms
from dicomroute_gateway.spool.records import DeliveryState


@pytest.fixture
def server() -> Iterator[OriginServer]:
    one = OriginServer(root="/v2")
    yield one
    one.close()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "secrets" / "research" / "key"
    file.parent.mkdir(parents=True)
    file.write_bytes(base64.b64encode(KEY))
    return file


def test_it_is_made_once_and_sent_under_its_new_uid_at_every_attempt_and_after_a_restart(
    server: OriginServer, start: Start, key: Path, tmp_path: Path
) -> None:
    gateway = start()
    received = gateway.receive(ct(1), "1.2.3.1", recipe=step())
    sent: list[bytes] = []

    def busy(_: OriginServer, files: list[bytes]) -> Reply:
        sent.extend(files)
        return Reply(503)

    server.always = busy
    gateway.run(lambda: len(sent) >= 2)
    gateway.close()
    again = start()
    again.run(lambda: len(sent) >= 4)
    assert len(set(sent)) == 1
    server.always = None
    again.run(again.is_settled)
    new = Pseudonyms(KEY).uid("1.2.3.1")
    assert received.sop_instance_uid not in server.files
    assert list(server.files) == [new]
    assert b"qzx" not in b"".join(sent).lower()
    assert b"PID1234" not in b"".join(sent)


def test_what_was_made_is_sent_under_the_uid_that_it_has_also_when_the_key_is_another_one_meanwhile(
    server: OriginServer, start: Start, key: Path
) -> None:
    gateway = start()
    gateway.receive(ct(1), "1.2.3.1", recipe=step())
    sent: list[bytes] = []

    def busy(_: OriginServer, files: list[bytes]) -> Reply:
        sent.extend(files)
        return Reply(503)

    server.always = busy
    gateway.run(lambda: len(sent) >= 1)
    key.write_bytes(base64.b64encode(bytes(32)))
    server.always = None
    gateway.run(gateway.is_settled)
    made = Pseudonyms(KEY).uid("1.2.3.1")
    assert list(server.files) == [made]
    assert server.files[made] == sent[0]


def test_without_its_key_it_waits_and_the_others_do_not(server: OriginServer, start: Start, key: Path) -> None:
    secret = key.read_bytes()
    key.unlink()
    gateway = start()
    treated = gateway.receive(ct(1), "1.2.3.1", recipe=step())
    others = [gateway.receive(ct(number), f"1.2.3.{number}") for number in (2, 3)]

    def waits() -> bool:
        delivery = gateway.delivery(treated)
        passed = all(gateway.delivery(one) is None for one in others)
        return passed and delivery is not None and delivery.reason == "TreatmentKeyMissing"

    gateway.run(waits)
    assert sorted(server.files) == ["1.2.3.2", "1.2.3.3"]
    key.write_bytes(secret)
    gateway.run(gateway.is_settled)
    assert Pseudonyms(KEY).uid("1.2.3.1") in server.files


def test_what_may_show_names_is_held_with_its_reason(server: OriginServer, start: Start, key: Path) -> None:
    gateway = start()
    shown = gateway.receive(ct(1, (0x00280301, "CS", b"YES")), "1.2.3.1", recipe=step())
    good = gateway.receive(ct(2), "1.2.3.2", recipe=step())

    def done() -> bool:
        delivery = gateway.delivery(shown)
        return gateway.delivery(good) is None and delivery is not None and delivery.state is DeliveryState.HELD

    gateway.run(done)
    delivery = gateway.delivery(shown)
    assert delivery is not None
    assert delivery.reason == "MayShowNames"
    assert list(server.files) == [Pseudonyms(KEY).uid("1.2.3.2")]


class Site:
    """A PACS that gets all as it came, and a research node."""

    def __init__(self, folder: Path) -> None:
        self.peers = {name: StoreSCP(folder / name, "+B", "+xa", "--fork") for name in ("pacs", "research")}

    def manifests(self, *, exists: bool = True, **spec: object) -> list[Json]:
        nodes = [changed(pacs(peer.port), "metadata.name", name) for name, peer in self.peers.items()]
        rules: list[Json] = [
            {"name": "care", "destinations": [{"kind": "DicomNode", "name": "pacs"}]},
            {
                "name": "research",
                "destinations": [{"kind": "DicomNode", "name": "research"}],
                "deidentify": {"name": "research"},
            },
        ]
        secret: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "research"},
            "stringData": {"key": base64.b64encode(KEY).decode()},
        }
        profiles = [profile(**spec)] if exists else []
        return [local_node(), *nodes, secret, *profiles, local_route(rules=rules)]

    def arrived(self, name: str) -> dict[str, Dataset]:
        found = {}
        for uid, data in self.peers[name].data_sets().items():
            found[uid] = pydicom.filereader.read_dataset(io.BytesIO(data), False, True, bytelength=len(data))
        return found

    def close(self) -> None:
        for peer in self.peers.values():
            peer.stop()


Lone = Callable[..., LoneGateway]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "site")
    yield one
    one.close()


def test_the_pacs_gets_what_came_and_research_gets_no_name(tmp_path: Path, lone: Lone, site: Site) -> None:
    gateway = lone(tmp_path / "gateway", site.manifests(patientID={"prefix": "STUDY-"}))
    files = make_corpus(tmp_path / "corpus", 3, ("CT_small.dcm",))
    send(gateway.port, files)
    gateway.wait_for(owed=0, deliveredTotal=3, deadLettered=0)
    assert site.peers["pacs"].data_sets() == {uid_of(file): data_set_bytes(file.read_bytes()) for file in files}
    research = site.arrived("research")
    assert set(research) == {Pseudonyms(KEY).uid(uid_of(file)) for file in files}
    for one in research.values():
        assert one.PatientID.startswith("STUDY-")
        assert one.PatientIdentityRemoved == "YES"
        assert one.StudyDate == ""
    came = pydicom.dcmread(files[0])
    raw = b"".join(site.peers["research"].data_sets().values())
    assert str(came.PatientID).encode() not in raw
    assert str(came.StudyInstanceUID).encode() not in raw


def test_a_profile_that_is_missing_or_on_hold_lets_nothing_pass_and_a_later_one_is_applied_to_what_waits(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    gateway = lone(tmp_path / "gateway", site.manifests(exists=False))
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.process.wait_until(lambda: uid_of(file) in site.peers["pacs"].data_sets(), "the PACS has not got it")
    gateway.reconfigure(site.manifests(hold=True))
    gateway.process.wait_until(lambda: gateway.status()["deliveries"]["held"] == 1, "it is not held")
    assert site.peers["research"].data_sets() == {}
    (kept,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert (kept["reason"], kept["destination"]) == ("OnHold", "DicomNode/research")
    gateway.reconfigure(site.manifests())
    gateway.wait_for(owed=0, deliveredTotal=1, deadLettered=0)
    assert set(site.arrived("research")) == {Pseudonyms(KEY).uid(uid_of(file))}


@pytest.mark.parametrize("treats", [True, False])
def test_a_target_for_deidentified_instances_gets_nothing_else(
    tmp_path: Path, lone: Lone, server: OriginServer, treats: bool
) -> None:
    archive = {"kind": "CloudTarget", "name": "archive"}
    rule: Json = {"name": "all", "destinations": [archive]}
    if treats:
        rule["deidentify"] = {"name": "research"}
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "research"},
        "stringData": {"key": base64.b64encode(KEY).decode()},
    }
    documents = [
        local_node(),
        secret,
        profile(),
        target(url=server.url, accepts="DeidentifiedOnly"),
        local_route(rules=[rule]),
    ]
    gateway = lone(tmp_path / "gateway", documents)
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    if treats:
        gateway.wait_for(owed=0, deliveredTotal=1)
        assert list(server.files) == [Pseudonyms(KEY).uid(uid_of(file))]
        return
    gateway.process.wait_until(lambda: gateway.status()["deliveries"]["held"] == 1, "it is not held")
    rule["deidentify"] = {"name": "research"}
    assert not server.files
    gateway.reconfigure([*documents[:-1], local_route(rules=[rule])])
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert list(server.files) == [Pseudonyms(KEY).uid(uid_of(file))]
    assert str(pydicom.dcmread(file).PatientID).encode() not in b"".join(server.kept)


def test_a_node_for_deidentified_instances_gets_nothing_else(tmp_path: Path, lone: Lone, site: Site) -> None:
    def is_research(one: Json) -> bool:
        return one["kind"] == "DicomNode" and one["metadata"]["name"] == "research"

    def manifests(*, treats: bool) -> list[Json]:
        strict = [
            changed(one, "spec.accepts", "DeidentifiedOnly") if is_research(one) else one for one in site.manifests()
        ]
        return strict if treats else [*strict[:-1], changed(strict[-1], "spec.rules.1.deidentify", REMOVED)]

    gateway = lone(tmp_path / "gateway", manifests(treats=False))
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.process.wait_until(lambda: gateway.status()["deliveries"]["held"] == 1, "it is not held")
    (kept,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert (kept["reason"], kept["destination"]) == ("NotDeidentified", "DicomNode/research")
    gateway.reconfigure(manifests(treats=True))
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert set(site.arrived("research")) == {Pseudonyms(KEY).uid(uid_of(file))}


def test_a_mistake_beside_a_treatment_lets_nothing_pass_until_it_is_corrected(
    tmp_path: Path, lone: Lone, site: Site
) -> None:
    treated = site.manifests()
    before = [*treated[:-1], changed(treated[-1], "spec.rules.1.deidentify", REMOVED)]
    mistake = {
        "name": "mistake",
        "when": "instance.Modality ==",
        "destinations": [{"kind": "DicomNode", "name": "pacs"}],
    }
    gateway = lone(tmp_path / "gateway", before)
    site.peers["research"].stop()
    (file,) = make_corpus(tmp_path / "corpus", 1, ("CT_small.dcm",))
    send(gateway.port, [file])
    gateway.process.wait_until(lambda: uid_of(file) in site.peers["pacs"].data_sets(), "the PACS has not got it")
    gateway.reconfigure([*treated[:-1], changed(treated[-1], "spec.rules.2", mistake)])
    site.peers["research"].start("+B", "+xa", "--fork")
    (kept,) = gateway.get("/api/v1/queue?state=Held")["items"]
    assert (kept["reason"], kept["destination"]) == ("TreatmentNotInForce", "DicomNode/research")
    (finding,) = gateway.status()["configuration"]["findings"]
    assert finding["reason"] == "RuleInvalid"
    assert gateway.status()["supports"]
    gateway.reconfigure(treated)
    gateway.wait_for(owed=0, deliveredTotal=1)
    assert set(site.arrived("research")) == {Pseudonyms(KEY).uid(uid_of(file))}
