"""Writes a status, and Events for what changed in it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from dicomroute_operator.api.conditions import CONDITIONS, NEGATIVE, Reconciling, Stalled
from dicomroute_operator.api.meta import Condition, Model
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.events import Recorder

_NEGATIVE: Final = frozenset(one.declared_type() for one in NEGATIVE)
_QUIET: Final = frozenset(("Pending", "Starting", "Terminating", "PodMissing", "NotTested", "NotUsed", "NotProven")) | {
    "ResizePending",
    "NoLoadBalancerAddress",
}
"""Reasons of a moment, which every pod that starts goes through, and those that say only that nothing is known."""
_FOR_MACHINES: Final = frozenset(one.declared_type() for one in (Stalled, Reconciling))
"""Conditions that repeat what others say: no Event more."""
_KNOWN: Final = frozenset(reasons.declared_type() for reasons, _ in CONDITIONS)


async def publish(
    client: Client, recorder: Recorder, about: dict[str, Any], status: Any, before: Sequence[Condition]
) -> None:
    """Write a status of an object; an object that is gone meanwhile needs none. Raises ApiError."""
    assert isinstance(status, Model)
    document = status.model_dump(by_alias=True, exclude_none=True, mode="json")
    meta = {name: about["metadata"][name] for name in ("name", "namespace", "uid")}
    manifest = {"apiVersion": about["apiVersion"], "kind": about["kind"], "metadata": meta, "status": document}
    try:
        await asyncio.to_thread(client.apply, manifest, "status")
        after: Sequence[Condition] = getattr(status, "conditions")  # noqa: B009
        for reason, message, warning in transitions(before, after):
            await asyncio.to_thread(recorder.record, about, reason, message, warning=warning, now=datetime.now(UTC))
    except ApiError as error:
        if error.status not in (404, 409):  # gone, or another of the same name
            raise


def transitions(before: Sequence[Condition], after: Sequence[Condition]) -> list[tuple[str, str, bool]]:
    """Return reason, message and whether it is a warning for each condition that a person should hear about. Pure.

    A condition that turns bad or changes its bad reason is told, and one that turns good again; a first good one is
    no news, and neither are moments of every start.
    """
    old = {one.type: one for one in before if one.type in _KNOWN - _FOR_MACHINES}
    found = []
    for one in after:
        if one.type in _FOR_MACHINES:
            continue
        was = old.pop(one.type, None)
        was_bad = was is not None and _is_bad(was)
        if _is_bad(one):
            news = was is None or not was_bad or was.reason != one.reason
            if news and one.reason not in _QUIET:
                found.append((one.reason, one.message, True))
        elif was_bad or (was is None and one.type == "Ready"):
            found.append((one.reason, one.message, False))
    found += [
        (f"{one.type}Ended", f"no longer: {one.message}", False)
        for one in old.values()
        if one.type in _NEGATIVE and _is_bad(one) and one.reason not in _QUIET
    ]
    return list(dict.fromkeys(found))  # what several conditions say alike is told once


def _is_bad(one: Condition) -> bool:
    return one.status == "True" if one.type in _NEGATIVE else one.status != "True"
