"""A configuration up to what a ConfigMap can hold is brought to the gateway, and goes on with another one put aside.

The operator as a process, on a real API server: what has room there, the server alone knows.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from control_plane import ControlPlane
from manifests import Json, changed, node, route, target
from ports import free_port
from processes import Process, wait_until

from dicomroute_gateway.configuration.load import load
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_operator.render.gateway_configuration import MAX_CONFIGURATION_BYTES

NAMESPACE = "large"
CONFIG_MAP_BYTES = 1 << 20


class Site:
    """A namespace, and the operator that looks after it."""

    def __init__(self, plane: ControlPlane, operator: Process) -> None:
        self.plane, self.operator = plane, operator

    def apply(self, *documents: Json) -> None:
        for document in documents:
            name, plural = document["metadata"]["name"], f"{document['kind'].lower()}s"
            path = f"/apis/{document['apiVersion']}/namespaces/{NAMESPACE}/{plural}/{name}"
            answer = self.plane.request(
                "PATCH", f"{path}?fieldManager=tests&force=true", document, kind="apply-patch+yaml"
            )
            assert answer.code in (200, 201), answer.message

    def delete(self, plural: str, name: str) -> None:
        path = f"/apis/dicomroute.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}/{name}"
        assert self.plane.request("DELETE", path).code == 200

    def condition(self, kind: str) -> tuple[str, str, int]:
        """Return reason and message of a condition, and for which generation of the route it is."""
        path = f"/apis/dicomroute.dev/v1alpha1/namespaces/{NAMESPACE}/dicomroutes/ct-to-cloud"
        found = self.plane.request("GET", path).body
        for one in found.get("status", {}).get("conditions", []):
            if one["type"] == kind and one["observedGeneration"] == found["metadata"]["generation"]:
                return one["reason"], one["message"], found["metadata"]["generation"]
        return "", "", found["metadata"]["generation"]

    def wait_condition(self, kind: str, reason: str) -> str:
        """Wait until the newest generation has a condition with this reason; return its message."""
        self.wait(lambda: self.condition(kind)[0] == reason, lambda: f"{kind} is {self.condition(kind)}")
        return self.condition(kind)[1]

    def text(self, config_map: str = "ct-to-cloud-gw-v1", key: str = "v1.json") -> str:
        """Return a configuration as it is stored; nothing while there is none."""
        found = self.plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/{config_map}")
        return str(found.body["data"][key]) if found.code == 200 else ""

    def callers(self) -> set[str]:
        """Return the nodes that the gateway is told to let in."""
        return {one["node"] for one in json.loads(self.text())["listeners"][0]["sources"]["callers"]}

    def wait(self, condition: Callable[[], bool], what: str | Callable[[], str]) -> None:
        wait_until(
            lambda: condition() or _pause(), lambda: f"{what() if callable(what) else what}\n{self.operator.tail()}", 60
        )


def _pause() -> bool:
    time.sleep(0.3)  # what is asked for has a megabyte
    return False


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    answer = control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    assert answer.code == 201, answer.message
    key = tmp_path / "key"
    key.write_bytes(os.urandom(24).hex().encode())
    command = [
        sys.executable, "-W", "ignore", "-m", "dicomroute_operator",
        "--gateway-image=gateway:1", f"--admin-key-file={key}",
        f"--namespace={NAMESPACE}", f"--watch-namespace={NAMESPACE}", f"--health-port={free_port()}",
    ]  # fmt: skip
    operator = Process(command, tmp_path / "operator.log", env={**os.environ, **control_plane.environment()})
    try:
        yield Site(control_plane, operator)
    finally:
        operator.stop()


def scanner(name: str) -> Json:
    return changed(node(), "metadata.name", name)


def treating(length: int, **spec: Any) -> Json:
    """Return a route with as many rules as there can be, each with 32 values of so many characters."""
    values = [{"set": {"attribute": "PatientComments", "value": f"'{'x' * length}'"}} for _ in range(32)]
    destinations = [{"kind": "CloudTarget", "name": "archive"}]
    rules = [
        {"name": f"rule-{number}", "when": f"{number} > 0", "transform": values, "destinations": destinations}
        for number in range(63)
    ]
    rules.append({"name": "everything", "transform": values, "destinations": destinations})
    one = route(rules=rules, **spec)
    return changed(one, "spec.listeners.0.sources", {"selector": {"matchLabels": {"site": "north"}}})


def test_up_to_what_a_config_map_can_hold(site: Site) -> None:
    # Two configurations of this size have no room in one ConfigMap.
    site.apply(target(), scanner("ct-1"), scanner("ct-2"), scanner("ct-3"), treating(180))
    site.wait_condition("Accepted", "Accepted")
    before = site.text()
    assert CONFIG_MAP_BYTES / 2 < len(before) < MAX_CONFIGURATION_BYTES
    assert site.callers() == {"ct-1", "ct-2", "ct-3"}
    unreachable = treating(180, ruleMatching="First")
    unreachable["spec"]["rules"].insert(0, {**unreachable["spec"]["rules"][-1], "name": "always"})
    del unreachable["spec"]["rules"][1]
    site.apply(unreachable)
    site.wait_condition("Accepted", "RuleUnreachable")
    site.delete("dicomnodes", "ct-3")
    site.wait(lambda: site.callers() == {"ct-1", "ct-2"}, "a scanner that is removed is let in")
    aside = site.text("ct-to-cloud-gw-accepted", "accepted.json")
    assert aside == before
    assert len(aside) + len(site.text()) > CONFIG_MAP_BYTES

    # One that has no room with its white space is written without.
    site.apply(treating(360))
    site.wait_condition("Accepted", "Accepted")
    larger = site.text()
    assert len(larger) <= MAX_CONFIGURATION_BYTES < len(json.dumps(json.loads(larger), indent=1))
    loaded = load(larger, compile_rules)
    assert not loaded.findings
    assert len(loaded.configuration.rules.rules) == 64

    # One that has none at all is not accepted. What was goes on, without what is removed.
    site.apply(treating(440))
    said = site.wait_condition("Accepted", "ConfigurationTooLarge")
    assert f"can hold only {MAX_CONFIGURATION_BYTES}. Its largest part is the 64 rules with their treatments" in said
    assert "Use fewer rules" in said
    site.wait_condition("Programmed", "NotAccepted")
    site.delete("dicomnodes", "ct-2")
    site.wait(lambda: site.callers() == {"ct-1"}, "a scanner that is removed is let in")
    assert json.loads(site.text())["rules"] == json.loads(larger)["rules"]
    assert site.text("ct-to-cloud-gw-accepted", "accepted.json") == larger
