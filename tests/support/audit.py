"""What the operator has asked of the API server, as the embedded cluster's audit log has it."""

import json
import time

from manifests import Json

from cluster import OPERATOR_NAMESPACE, STATE

ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:dicomroute"


def audited() -> list[Json]:
    """Return what the operator has asked of the API server, from the audit log."""
    lines = (STATE / "log" / "audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [one for one in events if one["user"]["username"] == ACCOUNT]


def written_since(count: int) -> list[tuple[str, str, str | None]]:
    """Return what the operator has written since there were so many requests, but for its Lease."""
    return [
        (one["verb"], one["objectRef"]["resource"], one["objectRef"].get("name"))
        for one in audited()[count:]
        if one["verb"] in ("create", "update", "patch", "delete") and one["objectRef"]["resource"] != "leases"
    ]


def is_quiet() -> bool:
    """Whether the operator has written nothing for five seconds."""
    before = len(audited())
    time.sleep(5)
    return not written_since(before)
