"""What gateway and operator expose when everything has happened that has a metric."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from gateways import LoneGateway
from metrics import types
from pdus import data_set
from peer import Aborted, Answered, Peer, Rejected, new_uid
from prometheus_client import generate_latest
from querying import MODELS, find
from retrieving import MOVE, Client, cloud_route, identifier
from routes import PACS
from scanner import Scanner
from scripted_scp import ScriptedSCP

from dicomroute_operator.handlers.health import Vitals, metrics_registry

TARGET_LABELS = frozenset(("job", "namespace", "pod", "route", "instance"))
"""Labels that Prometheus adds to what it scrapes, as the chart's PodMonitors say."""
_NAME = re.compile(r"\b(?:dicomroute|process)_\w+|\bup\b")
_BY = re.compile(r"\bby \(([^)]*)\)")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')

Families = dict[str, tuple[str, frozenset[str]]]


def gateway_exposition(folder: Path, lone: Callable[..., LoneGateway]) -> str:
    """Return the metrics of a gateway that has received, refused, failed to deliver, and was asked in vain."""
    node = ScriptedSCP(lambda acceptor: acceptor.accept().serve())
    documents = cloud_route("http://127.0.0.1:9/dicom-web", port=node.port)
    documents[-1]["spec"]["rules"].append({"name": "nothing", "when": "false", "destinations": [PACS]})
    next(one for one in documents if one["metadata"]["name"] == "pacs")["spec"]["connectionTestSeconds"] = 5
    documents[-1]["spec"]["storageCommitment"] = {"listeners": ["dicom"]}
    documents[-1]["spec"]["studies"] = {}
    gateway = lone(folder, documents)
    scanner = Scanner(gateway.port)
    scanner.ask(["1.2.3"], stays=20)
    scanner.close()
    client = Client(gateway.port, models=(MODELS["S"], MOVE["S"]))
    assert find(client.association, identifier("STUDY", StudyInstanceUID=""))[0] == [0xC000]
    assert client.move(identifier("STUDY", StudyInstanceUID="1.2")).statuses[-1] == 0xA701
    client.release()
    peer = Peer(gateway.port).associated()
    uid = new_uid()
    assert peer.store(data_set(uid), uid) == Answered(0)
    assert Peer(gateway.port).associate(called=b"OTHER") == Rejected(1, 1, 7)
    assert isinstance(Peer(gateway.port).send(b"\x09\x00\x00\x00\x00\x00").answer(), Aborted)
    configuration = folder / "configuration.json"
    document = json.loads(configuration.read_text())
    document["rules"]["rules"][0]["when"] = "1 +"
    configuration.write_text(json.dumps(document))
    gateway.process.wait_until(lambda: "RuleInvalid" in gateway.metrics(), "the rule is not found")
    configuration.write_text("{")
    gateway.process.wait_until(lambda: "ConfigurationInvalid" in gateway.metrics(), "the problem is not found")
    gateway.process.wait_until(lambda: "ConnectionFailed" in gateway.metrics(), "no attempt is made")
    gateway.process.wait_until(lambda: "destination_echo_seconds{" in gateway.metrics(), "no C-ECHO is answered")
    gateway.process.wait_until(lambda: "events_oldest_seconds " in gateway.metrics(), "no event is told")
    node.close()
    return gateway.metrics()


def operator_exposition() -> str:
    """Return the metrics of an operator with one route."""
    ready = {("radiology", "ct"): (True, "Ready")}
    at_risk = {("radiology", "ct"): "ClaimTerminating"}
    vitals = Vitals(True, True, 1, 0, 1, 1, 2, 1, 0.5, ready, at_risk, {"radiology": 1})
    return generate_latest(metrics_registry(lambda: vitals)).decode()


def families(*texts: str) -> Families:
    """Return type and labels of every metric of these expositions."""
    return {name: found for text in texts for name, found in types(text).items()}


def unknown(expression: str, known: Families) -> list[str]:
    """Return the metrics and labels of an expression that nothing exposes."""
    series: dict[str, frozenset[str]] = {"up": frozenset()}
    for name, (kind, labels) in known.items():
        if kind == "histogram":
            series |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            series[name] = labels
    names = set(_NAME.findall(expression))
    assert names, f"no metric in {expression}"
    asked = {label.strip() for group in _BY.findall(expression) for label in group.split(",")}
    asked |= set(_MATCHER.findall(expression))
    has = TARGET_LABELS.union(*(series.get(name, frozenset()) for name in names))
    return sorted(names - series.keys()) + sorted(asked - has)
