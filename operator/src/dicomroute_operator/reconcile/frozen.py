"""Says of an object that is newer than this operator, or that names such a one, that it stays as it is."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dicomroute_operator.api.conditions import Reconciling, Stalled
from dicomroute_operator.kube.client import ApiError, Client
from dicomroute_operator.kube.resources import OWN
from dicomroute_operator.status.conditions import condition

from .queue import ReconcileError
from .world import Key, World

Json = dict[str, Any]


def frozen_status(body: Mapping[str, Any], message: str, now: datetime) -> Json:
    """Return the status of an object as it is, but for one condition: what was known of it goes on being so. Pure."""
    status, generation = body.get("status") or {}, body["metadata"].get("generation", 0)
    said = condition(Stalled.NEWER_THAN_OPERATOR, True, message)
    others = [one for one in status.get("conditions", []) if one["type"] not in (said.type, Reconciling.__name__)]
    before = next((one for one in status.get("conditions", []) if one["type"] == said.type), None)
    time = before["lastTransitionTime"] if before is not None else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    settled = said.model_copy(update={"last_transition_time": time, "observed_generation": generation})
    conditions = [*others, settled.model_dump(by_alias=True, exclude_none=True, mode="json")]
    return {**status, "observedGeneration": generation, "conditions": conditions}


async def check_readable(client: Client, world: World, key: Key) -> None:
    """Leave an object as it is while it, or what it names, is newer than this operator understands, and say so.

    Raises ReconcileError then, and ApiError.
    """
    blocker = key if key in world.unreadable else world.blocker(key) if key.kind == "DicomRoute" else None
    if blocker is None:
        return
    what = "the object" if blocker == key else f"{blocker.kind} {blocker.name}, which the object references,"
    message = (
        f"{what} is newer than this operator understands, so the operator does not change it: upgrade the operator"
    )
    body = world.unreadable.get(key) or _document(world, key)
    status = frozen_status(body, message, datetime.now(UTC))
    if status != body.get("status"):
        meta = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
        manifest = {"apiVersion": OWN[key.kind].api_version, "kind": key.kind, "metadata": meta, "status": status}
        try:
            await asyncio.to_thread(client.apply, manifest, "status")
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or another of the same name
                raise
    raise ReconcileError(f"{blocker} is newer than this operator understands: upgrade the operator")


def _document(world: World, key: Key) -> Json:
    document: Json = world.objects[key.kind][key].model_dump(by_alias=True, exclude_none=True, mode="json")
    return document
