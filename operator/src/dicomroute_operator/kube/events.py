"""Events: what a person should know, once for each time it happens."""

from datetime import datetime

from .client import Client, Object
from .resources import EVENT


def record(client: Client, about: Object, reason: str, message: str, *, warning: bool, now: datetime) -> None:
    """Write an Event about an object. Raises ApiError."""
    meta = about["metadata"]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    client.create(
        EVENT,
        meta["namespace"],
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "reportingComponent": "dicomroute-operator",
            "reportingInstance": "dicomroute-operator",
            "source": {"component": "dicomroute-operator"},
        },
    )
