"""The conformance statement, held against a gateway: what it names is accepted on an association, and nothing else."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from corpus import make_corpus
from gateways import LoneGateway
from manifests import changed
from peer import Peer, Rejected
from pydicom.datadict import tag_for_keyword
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from querying import find, keys
from retrieving import moving_route
from routes import PACS, local_node, pacs, to_pacs
from running import dcmsend

from dicomroute_gateway.dimse.command import Status

ROOT = Path(__file__).parents[2]
STATEMENT = (ROOT / "docs" / "conformance-statement.md").read_text()
GET = "1.2.840.10008.5.1.4.1.2.2.3"
OTHER_TRANSFER_SYNTAXES = ("1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.7.1", "1.2.840.10008.1.20", "1.2.3.4.5")
MOST_CONTEXTS = 128
Pair = tuple[str, str]


def section(title: str) -> str:
    """Return what stands below a heading of the statement, up to the next one."""
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", STATEMENT, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """Return the rows of the tables in a section, without their heads."""
    found = [
        [cell.strip().strip("`") for cell in line[1:-1].split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    rules = [number for number, one in enumerate(found) if set(one) == {"---"}]
    return [one for number, one in enumerate(found) if number not in rules and number + 1 not in rules]


SYNTAXES = [(uid, kind) for _, uid, kind in rows(section("Transfer syntaxes"))]
UNCOMPRESSED = [uid for uid, kind in SYNTAXES if kind == "uncompressed"]
STORAGE = [uid for _, uid in rows(section("Storage SOP classes"))]
SERVICES = {uid: kind for _, uid, kind, *_ in rows(section("Presentation contexts")) if uid != "below"}
MODELS = [uid for uid, kind in SERVICES.items() if kind == "query"]
QUERY = re.findall(r"`([\d.]+)`", section("Transfer syntaxes").partition("*uncompressed*")[0])
UNSUPPORTED = [uid for _, uid in rows(section("4.5 What is not supported"))]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    """A gateway that serves everything that it can, with one instance in its spool."""
    *documents, route = moving_route(port=9)
    folder = tmp_path_factory.mktemp("gateway")
    one = LoneGateway(folder, [*documents, changed(route, "spec.storageCommitment", {"listeners": ["dicom"]})])
    assert dcmsend(one.port, make_corpus(folder / "corpus", 1, ("CT_small.dcm",))) == 0
    yield one
    one.kill()


def associate(port: int, contexts: Sequence[PresentationContext], **options: Any) -> Association:
    entity = AE(ae_title="CT1")
    association = entity.associate("127.0.0.1", port, contexts=list(contexts), ae_title="CTGATE", **options)
    # An association none of whose contexts is accepted pynetdicom aborts, and keeps what was answered.
    assert not association.is_rejected
    return association


def proposed(pairs: Sequence[Pair]) -> list[PresentationContext]:
    """Return a context for each pair of abstract and transfer syntax."""
    made = []
    for abstract, transfer in pairs:
        one = PresentationContext()
        one.abstract_syntax, one.transfer_syntax = abstract, [transfer]
        made.append(one)
    return made


def answered(port: int, pairs: Sequence[Pair]) -> dict[Pair, int]:
    """Propose pairs, as many at a time as an association has room for; return the result of each (PS3.8 table 9-18)."""
    results: dict[Pair, int] = {}
    rest = iter(pairs)
    while some := list(islice(rest, MOST_CONTEXTS)):
        association = associate(port, proposed(some))
        for one in (*association.accepted_contexts, *association.rejected_contexts):
            results[some[(one.context_id - 1) // 2]] = int(one.result)
        if association.is_established:
            association.release()
    assert len(results) == len(pairs), "every context is answered"
    return results


def test_the_statement_is_what_its_source_makes() -> None:
    command = [sys.executable, ROOT / "tools" / "conformance_statement.py"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert made == STATEMENT, "docs/conformance-statement.md is stale: run `make generate`"


def test_every_storage_class_is_taken_in_every_transfer_syntax_of_the_statement(gateway: LoneGateway) -> None:
    assert len(STORAGE) > 150
    assert len(SYNTAXES) > 50
    pairs = [(abstract, transfer) for abstract in (*STORAGE, "1.2.3.4.5.6") for transfer, _ in SYNTAXES]
    refused = [pair for pair, result in answered(gateway.port, pairs).items() if result]
    assert refused == []


def test_the_other_services_are_taken_in_the_transfer_syntaxes_of_the_statement_alone(gateway: LoneGateway) -> None:
    taken = {"uncompressed": UNCOMPRESSED, "query": QUERY, "commitment": QUERY}
    assert len(SERVICES) == 8
    assert len(QUERY) == 2
    everything = [uid for uid, _ in SYNTAXES] + list(OTHER_TRANSFER_SYNTAXES)
    pairs = [(abstract, transfer) for abstract in SERVICES for transfer in everything]
    expected = {(abstract, transfer): 0 if transfer in taken[SERVICES[abstract]] else 4 for abstract, transfer in pairs}
    assert answered(gateway.port, pairs) == expected


def test_what_the_statement_does_not_name_is_refused(gateway: LoneGateway) -> None:
    assert len(UNSUPPORTED) > 10
    nowhere = (
        "1.2.840.10008.5.1.4.1.2.3.2",
        "1.2.840.10008.5.1.4.34.6.3",
        "1.2.840.10008.1.9",
    )
    pairs = [(abstract, transfer) for abstract in (*UNSUPPORTED, *nowhere) for transfer in QUERY]
    assert set(answered(gateway.port, pairs).values()) == {3}
    pairs = [(abstract, transfer) for abstract in STORAGE[:20] for transfer in OTHER_TRANSFER_SYNTAXES]
    assert set(answered(gateway.port, pairs).values()) == {4}


def test_of_several_transfer_syntaxes_the_one_that_the_statement_says_is_chosen(gateway: LoneGateway) -> None:
    by_kind = {kind: [uid for uid, one in SYNTAXES if one == kind] for kind in ("uncompressed", "lossless", "other")}
    lossless, others = by_kind["lossless"], by_kind["other"]
    cases = {
        (lossless[3], *UNCOMPRESSED): lossless[3],
        (others[0], *reversed(UNCOMPRESSED)): UNCOMPRESSED[0],
        (others[0], lossless[1], lossless[0]): lossless[1],
        (others[1], others[0]): others[1],
        (UNCOMPRESSED[3], UNCOMPRESSED[2], UNCOMPRESSED[1]): UNCOMPRESSED[1],
    }
    contexts = []
    for transfers in cases:
        one = PresentationContext()
        one.abstract_syntax, one.transfer_syntax = STORAGE[0], list(transfers)
        contexts.append(one)
    association = associate(gateway.port, contexts)
    assert [one.transfer_syntax[0] for one in association.accepted_contexts] == list(cases.values())
    association.release()


def test_roles_are_those_of_the_statement(gateway: LoneGateway) -> None:
    stored_to = "1.2.840.10008.5.1.4.1.1.2"
    contexts = proposed([(uid, QUERY[0]) for uid in (*SERVICES, stored_to)])
    both = [build_role(uid, scu_role=True, scp_role=True) for uid in SERVICES]
    association = associate(gateway.port, contexts, ext_neg=[*both, build_role(stored_to, scp_role=True)])
    roles = {str(uid): (role.scu_role, role.scp_role) for uid, role in association.acceptor.role_selection.items()}
    # No destination of this gateway is asked for commitment, so that nobody reports to it.
    assert roles == {**dict.fromkeys(SERVICES, (True, False)), stored_to: (False, True)}
    association.release()
    association = associate(
        gateway.port, proposed([(stored_to, QUERY[0])]), ext_neg=[build_role(stored_to, scp_role=True)]
    )
    (role,) = association.acceptor.role_selection.values()
    assert (role.scu_role, role.scp_role) == (False, False), "without C-GET nobody is stored to"
    association.release()


def test_where_a_destination_is_asked_for_commitment_the_peer_may_be_its_scp(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    (commitment,) = (uid for uid, kind in SERVICES.items() if kind == "commitment")
    confirm = {"by": "StorageCommitment", "withinSeconds": 600}
    one = lone(tmp_path, [local_node(), pacs(9), to_pacs(destinations=[{**PACS, "confirm": confirm}])])
    role = build_role(commitment, scu_role=True, scp_role=True)
    association = associate(one.port, proposed([(commitment, QUERY[0])]), ext_neg=[role])
    (told,) = association.acceptor.role_selection.values()
    assert (told.scu_role, told.scp_role) == (False, True), "it reports, and asks for nothing"
    association.release()


def test_extended_negotiation_is_answered_as_the_statement_says(gateway: LoneGateway) -> None:
    table = rows(section("Extended negotiation of queries and retrievals"))
    done = {True: bytes(int(row[2]) for row in table), False: bytes(int(row[4]) for row in table if row[4])}
    (level_2,) = re.findall(r"Extended Negotiation is `([0-9A-F ]+)`", section("Storage SOP classes"))
    expected = {uid: done["FIND" in SOP_NAMES[uid]] for uid in MODELS} | {STORAGE[0]: bytes.fromhex(level_2)}
    items = []
    for uid, answer in expected.items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = uid
        item.service_class_application_information = bytes([1] * len(answer))
        items.append(item)
    association = associate(gateway.port, proposed([(uid, QUERY[0]) for uid in expected]), ext_neg=items)
    told = {str(uid): bytes(answer) for uid, answer in association.acceptor.sop_class_extended.items()}
    assert told == expected
    association.release()


SOP_NAMES = {uid: name for name, uid, *_ in rows(section("Presentation contexts"))}


def test_the_parameters_are_those_of_the_statement(gateway: LoneGateway) -> None:
    said = {row[0]: row[1].partition(" ")[0] for row in rows(section("4.2.1 Association policies"))}
    association = associate(gateway.port, proposed([("1.2.840.10008.1.1", QUERY[0])]))
    acceptor = association.acceptor
    assert str(acceptor.implementation_class_uid) == said["Implementation Class UID"]
    assert str(acceptor.implementation_version_name) == said["Implementation Version Name"]
    assert str(acceptor.maximum_length) == said["longest PDU that is taken, as SCP"]
    association.release()


def test_rejections_are_those_of_the_statement(gateway: LoneGateway) -> None:
    said = {why: tuple(map(int, numbers)) for why, *numbers in rows(section("4.2.2 Association acceptance"))}
    assert Peer(gateway.port).associate(called=b"OTHER") == Rejected(*said["CalledAETitle"])
    assert Peer(gateway.port).associate(calling=b"STRANGER") == Rejected(*said["CallingAETitle"])


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_the_keys_of_each_level_are_supported_and_others_are_not(gateway: LoneGateway, level: str) -> None:
    table = [row for row in rows(section("C-FIND")) if row[0] == level]
    assert len(table) > 8
    for _, keyword, tag, *_ in table:
        number = tag_for_keyword(keyword)
        assert number is not None
        assert f"({number >> 16:04X},{number & 0xFFFF:04X})" == tag
    unique = {row[1] for row in rows(section("C-FIND")) if row[-1] == "U"}
    assert len(unique) == 4
    above = ["PATIENT", "STUDY", "SERIES", "IMAGE"]
    above = above[: above.index(level)]
    values = known(gateway)
    named = {row[1]: values[row[1]] for row in rows(section("C-FIND")) if row[0] in above and row[-1] == "U"}
    association = associate(gateway.port, proposed([(MODELS[0], QUERY[0])]))
    identifier = keys(level, **named, **dict.fromkeys(row[1] for row in table))
    assert find(association, identifier, "P")[0] == [0xFF00, 0x0000], "every key is supported, so that nothing is FF01"
    identifier.DeviceSerialNumber = ""
    assert find(association, identifier, "P")[0] == [0xFF01, 0x0000]
    association.release()


def known(gateway: LoneGateway) -> dict[str, str]:
    """Return the unique keys of the one instance there."""
    association = associate(gateway.port, proposed([("1.2.840.10008.5.1.4.1.2.2.1", QUERY[0])]))
    relational = keys("STUDY", StudyInstanceUID="", PatientID="")
    _, (study,), _ = find(association, relational)
    _, (series,), _ = find(association, keys("SERIES", StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID=""))
    association.release()
    return {
        "PatientID": study.PatientID,
        "StudyInstanceUID": study.StudyInstanceUID,
        "SeriesInstanceUID": series.SeriesInstanceUID,
    }


def test_every_status_that_the_gateway_knows_is_in_the_statement() -> None:
    said = set(re.findall(r"^\| ([0-9A-F]{4}) \|", STATEMENT, re.MULTILINE))
    assert {f"{int(one):04X}" for one in Status} - said == {"0131"}, "a transaction of another is answered with 0115"
