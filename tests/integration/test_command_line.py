"""The command line on manifests with mistakes: a line a finding, exit 2, and never a traceback."""

import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from corpus import FILES
from manifests import Json, changed, node, route, target
from running import cli

CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"
BASIC = {"type": "Basic", "basic": {"username": "u", "passwordSecretRef": {"name": "archive", "key": "password"}}}
SECOND = {"name": "two", "port": 11112, "aeTitles": ["B"], "sources": {"policy": "Any"}}


def write(folder: Path, *documents: Json | str) -> Path:
    file = folder / "manifests.yaml"
    texts = [one if isinstance(one, str) else yaml.safe_dump(one) for one in documents]
    file.write_text("\n---\n".join(texts))
    return file


GOOD = (route(), node(), target())

MISTAKES = {
    "a typo in a field": ((changed(route(), "spec.unmatchd", "Hold"), node(), target()), "did you mean unmatched?"),
    "a typo in a kind": (
        ("{apiVersion: dicomroute.dev/v1alpha1, kind: DicomRout, metadata: {name: a}}",),
        "DicomRoute, DicomNode",
    ),
    "a typo in the group": (
        (changed(route(), "apiVersion", "dicomroutes.dev/v1alpha1"),),
        "use dicomroute.dev/v1alpha1",
    ),
    "no apiVersion": (("{kind: Thing, metadata: {name: a}}",), "apiVersion and kind are missing"),
    "an unreachable URL": ((route(), node(), target(url="archive.example")), "http(s)://HOST"),
    "a missing Secret": ((route(), node(), target(auth=BASIC)), "SecretNotFound"),
    "a missing key": (
        (
            route(),
            node(),
            target(auth=BASIC),
            "{apiVersion: v1, kind: Secret, metadata: {name: archive}, stringData: {a: b}}",
        ),
        "SecretKeyMissing",
    ),
    "an AE title of 17 characters": (
        (route(), node(aeTitle="SEVENTEEN_CHARS_7", anyAddress=True), target()),
        "shorten it to 16",
    ),
    "a rule that does not parse": (
        (changed(route(), "spec.rules.0.when", "1 +"), node(), target()),
        "RuleInvalid: line 1, column 4",
    ),
    "a keyword that is none": (
        (changed(route(), "spec.rules.0.when", "instance.Modalty == ''"), node(), target()),
        "instance.Modality?",
    ),
    "two listeners on one port": (
        (changed(route(), "spec.listeners.1", SECOND), node(), target()),
        "two listeners have the same port",
    ),
    "a node that does not exist": ((route(), target()), "NodeNotFound"),
    "a target that does not exist": ((route(), node()), "TargetNotFound"),
    "no YAML": (("a: [",), "is not YAML"),
    "a list": (("- a",), "not a mapping"),
    "an object twice": ((*GOOD, node()), "remove or rename one of them"),
    "a key twice": (("{kind: A, kind: B}",), "is used twice"),
    "a number as a key": (
        ("{apiVersion: dicomroute.dev/v1alpha1, kind: DicomNode, metadata: {name: a}, spec: {1: x}}",),
        "put it in quotes",
    ),
    "a date as a title": ((changed(node(), "spec.aeTitle", date(2024, 1, 1)),), "put it in quotes"),
    "a bad date": (("{a: 2024-13-45}",), "is not YAML"),
    "a huge number": ((changed(route(), "spec.gateway.replicas", 10**30), node(), target()), "larger than 64 bits"),
    "a deep nest": (("[" * 3000,), "is not YAML"),
    "a name that is none": ((changed(node(), "metadata.name", "Bad_Name"),), "a name has lower case letters"),
    "a namespace that leaves its folder": (
        (changed(route(), "metadata.namespace", "../../x"), node(), target()),
        "a namespace has",
    ),
    "a password that is a number": (
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {password: 123}}",),
        "type string",
    ),
    "a Secret that is not base64": (
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {password: '%%'}}",),
        "is not base64",
    ),
    "a URL that is none": ((route(), node(), target(url="http://[1:2", auth=BASIC)), "http(s)://HOST"),
    "nothing": (("",), "the file is empty"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_object_and_what_to_do(tmp_path: Path, mistake: str) -> None:
    documents, sentence = MISTAKES[mistake]
    file = write(tmp_path, *documents)
    for words in (["validate", "-f", file], ["run", "-f", file, "--state", tmp_path / "state", "--admin-port", "0"]):
        result = cli(*words)
        said = result.stdout + result.stderr
        assert result.returncode == 2, said
        assert sentence in said
        assert str(file) in said
        assert "Traceback" not in said
    if "is not YAML" in sentence:
        return
    findings = json.loads(cli("validate", "-f", file, "-o", "json").stdout)
    assert any(sentence in finding["message"] for finding in findings)


def test_manifests_that_pass_are_counted(tmp_path: Path) -> None:
    result = cli("validate", "-f", write(tmp_path, *GOOD))
    assert (result.returncode, result.stdout) == (0, "valid: 1 DicomRoute, 1 DicomNode, 1 CloudTarget\n")


def test_what_kubectl_writes_is_read(tmp_path: Path) -> None:
    exported = changed(changed(route(), "metadata.creationTimestamp", None), "metadata.resourceVersion", "7")
    exported = changed(exported, "spec.mode", None)
    listed = {"apiVersion": "v1", "kind": "List", "items": [exported, node(), target()]}
    result = cli("validate", "-f", write(tmp_path, listed))
    assert (result.returncode, result.stdout) == (0, "valid: 1 DicomRoute, 1 DicomNode, 1 CloudTarget\n")


def test_a_warning_does_not_stop_anything(tmp_path: Path) -> None:
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: archive}, stringData: {password: x}}"
    result = cli(
        "validate", "-f", write(tmp_path, route(), node(), target(url="http://archive.example", auth=BASIC), secret)
    )
    assert result.returncode == 0
    assert "warning: " in result.stdout
    assert "PlainHTTP" in result.stdout


def test_routes_that_want_one_port_are_both_named(tmp_path: Path) -> None:
    second = changed(route(), "metadata.name", "mr-to-cloud")
    file = write(tmp_path, *GOOD, second)
    result = cli("run", "-f", file, "--state", tmp_path / "state")
    assert result.returncode == 2
    assert "listener default/ct-to-cloud/dicom" in result.stderr
    assert "listener default/mr-to-cloud/dicom" in result.stderr
    same = cli("run", "-f", write(tmp_path, *GOOD), "--state", tmp_path / "state", "--admin-port", "11112")
    assert same.returncode == 2
    assert (
        "the admin API of default/ct-to-cloud and listener default/ct-to-cloud/dicom both use port 11112" in same.stderr
    )
    unknown = cli("run", "-f", file, "--port", "default/ct-to-cloud/other=1")
    assert "there is no such listener" in unknown.stderr


def explain(folder: Path, a_route: Json, *words: str | Path) -> Json:
    file = write(folder, a_route, node(), target())
    result = cli("explain", "-f", file, "--route", "ct-to-cloud", "--address", "192.0.2.7", "-o", "json", *words)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_explain_says_which_rules_match_and_why(tmp_path: Path) -> None:
    when = 'instance.Modality == "CT" && association.callingAETitle == "CT1"'
    ct = changed(route(), "spec.rules.0.when", when)
    found = explain(tmp_path, ct, "--calling", "CT1", CT)
    assert found["outcome"] == "accepted"
    assert found["destinations"] == [{"name": "CloudTarget/archive", "held": ""}]
    assert found["rules"] == [
        {"name": "everything", "matches": True, "when": when, "values": {"Modality": "CT"}, "error": ""}
    ]
    missed = explain(tmp_path, ct, "--calling", "CT1", MR)
    assert missed["outcome"] == "no rule matches: Hold"
    assert missed["rules"][0]["values"] == {"Modality": "MR"}
    held = explain(tmp_path, changed(route(), "spec.mode", "HoldDeliveries"), "--calling", "CT1", CT)
    assert held["destinations"] == [{"name": "CloudTarget/archive", "held": "RouteHeld"}]
    stranger = explain(tmp_path, route(), "--calling", "STRANGER", CT)
    assert stranger["outcome"] == "refused: no listener accepts it"
    assert stranger["listeners"][0]["why"] == "A-ASSOCIATE-RJ 1/1/3: CallingAETitle"


def test_explain_and_queue_tell_what_they_cannot_do(tmp_path: Path) -> None:
    file = write(tmp_path, *GOOD)
    for words, sentence in (
        (["explain", "-f", file, "--route", "other", "--calling", "A", CT], "is not in the manifests"),
        (["explain", "-f", file, "--route", "ct-to-cloud", "--calling", "A", file], "is not a DICOM file"),
        (["explain", "-f", file, "--route", "ct-to-cloud", "--calling", "A", tmp_path], "cannot be read"),
        (
            ["explain", "-f", file, "--route", "ct-to-cloud", "--calling", "A", "--address", "x", CT],
            "is not an IP address",
        ),
        (["queue", "list", "--admin", "127.0.0.1:9", "--state", tmp_path], "pass its token file with --token-file"),
        (["queue", "list", "--admin", "127.0.0.1:9", "--token-file", file], "does not answer as a gateway"),
        (["queue", "list", "--admin", "http://[::1", "--token-file", file], "write HOST:PORT"),
        (["queue", "list", "--admin", "127.0.0.1:abc", "--token-file", file], "write HOST:PORT"),
        (["queue", "drop", "--admin", "127.0.0.1:9", "--token-file", file], "give either instance numbers or --all"),
    ):
        result = cli(*words)
        assert result.returncode in (1, 2)
        assert sentence in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
