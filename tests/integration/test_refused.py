"""Who was refused: a person sees them, and gets the manifest that lets the right one in. Titles may be anything."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from gateways import LoneGateway
from manifests import Json, changed, node
from pdus import context
from peer import Accepted, Peer, Rejected
from routes import local_node, local_route, to
from running import Running, cli

NOWHERE = "http://127.0.0.1:9/dicom-web"
HOSTILE = (
    b"\x1b[2J\x1b]0;pwn\x07", b"\r\n- kind: Pod\r\n", b"a: {b: [c", b"# comment", b"---", b"*alias", b"&anchor",
    b"!!python/object:", b"'\"`$(reboot)", b"\xff\xfe\x80\x00\x01\x02", b"\x00\x00", b"NO", b"1e3", b"0o17", b"null",
    b"{{ .Values.x }}", b"\xe2\x80\xae\xe2\x80\xa8", b"%s%n%x", b"| tail", b"> x", b"@x", b"a\\b", b"\t\t", b"CT 1",
    b"CT-1",
)  # fmt: skip


def refused(gateway: LoneGateway, *words: str) -> str:
    result = cli("refused", "--admin", gateway.admin, "--token-file", gateway.token_file, *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def gateway(tmp_path: Path, lone: Callable[..., LoneGateway]) -> LoneGateway:
    return lone(tmp_path, [local_node(), to(NOWHERE), local_route()])


def test_refused_callers_are_listed_with_what_would_admit_them(gateway: LoneGateway) -> None:
    for _ in range(3):
        assert Peer(gateway.port).associate(calling=b"MR2") == Rejected(1, 1, 3)
    assert Peer(gateway.port).associate(called=b"OTHER") == Rejected(1, 1, 7)
    first, second = gateway.get("/api/v1/refused")["callers"]
    assert (first["reason"], first["callingAETitle"], first["calledAETitle"]) == ("CalledAETitle", "CT1", "OTHER")
    assert (second["reason"], second["callingAETitle"], second["count"]) == ("CallingAETitle", "MR2", 3)
    assert (second["address"], second["listener"]) == ("127.0.0.1", "dicom")
    assert second["firstTime"] <= second["lastTime"] <= first["firstTime"]
    assert json.loads(refused(gateway, "-o", "json")) == yaml.safe_load(refused(gateway, "-o", "yaml"))
    table = refused(gateway)
    assert "MR2" in table.splitlines()[2]
    assert "'CT1' at 127.0.0.1, listener dicom, CalledAETitle (called 'OTHER'): the called AE title is not" in table
    (manifest,) = [one for one in yaml.safe_load_all(refused(gateway, "--manifest")) if one]
    assert manifest["spec"] == {"aeTitle": "MR2", "allowedSources": ["127.0.0.1/32"]}


def test_who_is_closed_before_it_says_a_title_is_listed_by_its_address(
    tmp_path: Path, lone: Callable[..., LoneGateway]
) -> None:
    elsewhere = node(aeTitle="CT1", allowedSources=["192.0.2.0/24"])
    gateway = lone(tmp_path, [elsewhere, to(NOWHERE), local_route()])
    Peer(gateway.port).answer()
    (seen,) = gateway.get("/api/v1/refused")["callers"]
    assert (seen["callingAETitle"], seen["calledAETitle"], seen["reason"]) == (None, None, "SourceAddress")
    assert "add 127.0.0.1/32 to the allowedSources" in refused(gateway, "--manifest")


def test_hostile_titles_are_shown_in_a_line_each_and_make_valid_manifests_or_none(
    gateway: LoneGateway, tmp_path: Path
) -> None:
    for title in HOSTILE:
        assert Peer(gateway.port).associate(calling=title, called=title) == Rejected(1, 1, 3)
    said = {words: refused(gateway, *words) for words in ((), ("--manifest",), ("--manifest", "-o", "json"))}
    for text in said.values():
        assert all(line.isprintable() for line in text.split("\n")), text
    table, _, advice = said[()].partition("\n\n")
    assert len(table.splitlines()) == 1 + len(HOSTILE)
    assert advice == said["--manifest",]
    documents = [one for one in yaml.safe_load_all(advice) if one]
    assert documents == json.loads(said["--manifest", "-o", "json"])["items"], "who reads YAML otherwise reads JSON"
    assert {one["spec"]["aeTitle"].encode() for one in documents} == {
        one for one in HOSTILE if one.isascii() and one.decode().isprintable() and b"\\" not in one
    }
    assert advice.count("# no DicomNode can have the title ") == len(HOSTILE) - len(documents)
    (tmp_path / "nodes.yaml").write_text(advice)
    valid = cli("validate", "-f", tmp_path / "nodes.yaml")
    assert (valid.returncode, valid.stderr) == (0, ""), valid.stdout


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
STRANGERS = {
    "TLSHello": HELLO,
    "HTTPRequest": b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "HL7Message": b"\x0bMSH|^~\\&|RIS|SITE|GATE|SITE|20261130||ADT^A01|1|P|2.5\r\x1c\r",
    "SSHClient": b"SSH-2.0-OpenSSH_9.2\r\n",
    "ProxyProtocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 104\r\n",
    "NotDICOM": b"\x09\0\0\0\0\x04\0\0\0\0",
    "MalformedRequest": b"\1\0\0\0\0\x04\0\1\0\0",
    "IncompleteRequest": b"\1\0\0\0\1\0" + bytes(20),
}


@pytest.mark.parametrize("reason", STRANGERS)
def test_what_ends_before_an_association_is_named_by_its_address_and_what_it_looks_like(
    tmp_path: Path, lone: Callable[..., LoneGateway], reason: str
) -> None:
    gateway = lone(
        tmp_path,
        [local_node(), to(NOWHERE), changed(local_route(), "spec.listeners.0.acseTimeoutSeconds", 1)],
    )
    peer = Peer(gateway.port).send(STRANGERS[reason])
    peer.answer()
    peer.close()
    gateway.process.wait_until(lambda: gateway.get("/api/v1/refused")["callers"] != [], "nobody is named")
    (seen,) = gateway.get("/api/v1/refused")["callers"]
    assert (seen["callingAETitle"], seen["address"], seen["listener"]) == (None, "127.0.0.1", "dicom")
    assert (seen["reason"], seen["count"]) == (reason, 1)
    gateway.process.wait_until(lambda: any("looks_like" in one for one in gateway.log()), "it is not in the log")
    line = next(one for one in gateway.log() if "looks_like" in one)
    assert (line["address"], line["listener"]) == ("127.0.0.1", "dicom")
    assert "a DicomNode cannot fix this" not in refused(gateway)


def test_a_connection_without_a_byte_is_a_probe_and_nobody(gateway: LoneGateway) -> None:
    for _ in range(3):
        Peer(gateway.port).close()
    assert Peer(gateway.port).associate() == Accepted()
    assert gateway.get("/api/v1/refused")["callers"] == []
    assert [one["event"] for one in gateway.log() if "listener" in one or "association" in one] == []


def test_abstract_syntaxes_that_are_not_served_are_named(tmp_path: Path, lone: Callable[..., LoneGateway]) -> None:
    gateway = lone(tmp_path, [local_node(), to(NOWHERE), local_route()], log_level="info")
    worklist, find = "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.1.2.2.1"
    many = [context(number, f"1.2.840.10008.9.{number}") for number in range(5, 200, 2)]
    assert Peer(gateway.port).associate(context(1, worklist), context(3, find)) == Accepted((3, 3))
    assert Peer(gateway.port).associate(context(1), context(3, find), *many) == Accepted((0, *[3] * 99))
    first, second = gateway.wait_for_events("association.accepted", 2)
    gateway.process.wait_until(lambda: gateway.get("/api/v1/refused")["callers"] != [], "nobody is named")
    (seen,) = gateway.get("/api/v1/refused")["callers"]
    assert (seen["reason"], seen["abstractSyntaxes"]) == ("NoContextAccepted", [worklist, find])
    assert seen["callingAETitle"] == "CT1"
    assert first["refused"][0] == f"{worklist} Modality Worklist Information Model - FIND"
    assert (second["refused_contexts"], len(second["refused"])) == (99, 8)
    assert "Modality Worklist Information Model - FIND" in refused(gateway)


def test_a_manifest_that_was_printed_lets_the_caller_in(run: Callable[..., Running]) -> None:
    by_label = {"nodes": [{"name": "ct-1"}], "selector": {"matchLabels": {"site": "north"}}}
    running = run(local_node(), to(NOWHERE), changed(local_route(), "spec.listeners.0.sources", by_label))
    assert Peer(running.port).associate(calling=b"MR 2") == Rejected(1, 1, 3)
    result = cli("refused", "--admin", running.admin, "--state", running.state, "--manifest")
    document: Json = yaml.safe_load(result.stdout.partition("\n---")[0])
    document["metadata"]["labels"] = {"site": "north"}
    before = running.hash()
    running.write([document])
    running.wait_reloaded(before)
    assert isinstance(Peer(running.port).associate(calling=b"MR 2"), Accepted)
    stranger = cli("refused", "--admin", running.admin)
    assert stranger.returncode == 2, "without the token nobody is told"
