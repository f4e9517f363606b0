"""Argo CD shows of our kinds what their conditions say: its health scripts, run over what the operator writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from dicomroute_operator.api.conditions import Accepted, Programmed, Ready
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.reason import Reason
from dicomroute_operator.api.spool_conditions import SpoolAtRisk
from dicomroute_operator.api.target_conditions import TargetReady
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.status.conditions import condition, settle
from dicomroute_operator.status.progress import with_progress

KEY = "resource.customizations.health.dicomroute.dev_"


@pytest.fixture(scope="module")
def scripts(root: Path) -> dict[str, str]:
    data: dict[str, str] = yaml.safe_load((root / "examples" / "argo-cd" / "argocd-cm.yaml").read_text())["data"]
    return {key.removeprefix(KEY): script for key, script in data.items()}


def health(script: str, document: dict[str, Any]) -> tuple[str, str]:
    """Return what Argo CD would show of an object: it runs the script with the object as `obj`."""
    lua = LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    found = lua.eval(f"function(obj) {script} end")(lua.table_from(document, recursive=True))
    return found.status, found.message


def written(*conditions: tuple[Reason, bool | None], generation: int = 2, observed: int = 2) -> dict[str, Any]:
    """Return an object whose status has these conditions, as the operator writes them."""
    found: list[Condition] = with_progress([condition(reason, status, reason.meaning) for reason, status in conditions])
    settled = settle(found, [], observed, "2026-01-02T03:04:05Z")
    documents = [one.model_dump(by_alias=True, exclude_none=True, mode="json") for one in settled]
    status = {"observedGeneration": observed, "conditions": documents}
    return {"metadata": {"generation": generation}, "status": status}


GOOD = ((Accepted.ACCEPTED, True), (Programmed.PROGRAMMED, True), (Ready.READY, True))
LAST_GOOD = ((Accepted.CONFLICTED, False), (Programmed.NOT_ACCEPTED, False), (Ready.READY, True))


@pytest.mark.parametrize(
    ("document", "expected", "words"),
    [
        ({"metadata": {"generation": 1}}, "Progressing", "not seen"),
        (written(*GOOD), "Healthy", ""),
        (written(*GOOD, generation=3), "Progressing", "not seen"),
        (written(*LAST_GOOD), "Degraded", "not in effect: Accepted is False, Conflicted"),
        (written(GOOD[0], (Programmed.RULE_INVALID, False), GOOD[2]), "Degraded", "RuleInvalid"),
        (written(GOOD[0], (Programmed.PENDING, False), GOOD[2]), "Progressing", ""),
        (written(*GOOD[:2], (Ready.STARTING, False)), "Progressing", ""),
        (written(*GOOD[:2], (Ready.SPOOL_CORRUPT, False)), "Degraded", "spool-corrupt.md"),
        (written(*GOOD[:2], (Ready.SCALED_TO_ZERO, False)), "Suspended", ""),
        (written(*GOOD[:2], (Ready.STATUS_STALE, None)), "Progressing", ""),
        (written(*GOOD, (SpoolAtRisk.CLAIM_TERMINATING, True)), "Degraded", "spool-claim.md"),
    ],
)
def test_the_health_of_a_route(scripts: dict[str, str], document: dict[str, Any], expected: str, words: str) -> None:
    status, message = health(scripts["DicomRoute"], document)
    assert status == expected
    assert words in message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (written((Accepted.ACCEPTED, True), (TargetReady.NOT_USED, None)), "Healthy"),
        (written((Accepted.MACHINE_IDENTITY_NOT_ALLOWED, False), (TargetReady.NOT_USED, None)), "Degraded"),
        (written((Accepted.ACCEPTED, True), generation=3), "Progressing"),
    ],
)
def test_the_health_of_a_target(scripts: dict[str, str], document: dict[str, Any], expected: str) -> None:
    assert health(scripts["CloudTarget"], document)[0] == expected


@pytest.mark.parametrize("kind", ["DicomNode", "DeidentificationProfile"])
def test_the_health_of_what_routes_name(scripts: dict[str, str], kind: str) -> None:
    assert health(scripts[kind], written((Accepted.ACCEPTED, True)))[0] == "Healthy"
    assert health(scripts[kind], {"metadata": {"generation": 1}})[0] == "Progressing"


def test_every_kind_has_its_script(scripts: dict[str, str]) -> None:
    assert scripts.keys() == KINDS.keys()
