"""The Lease that says which operator works, so that never two do at once, and that it still does."""

from datetime import UTC, datetime
from typing import Final

from .client import ApiError, Client, Object
from .resources import LEASE

DURATION_SECONDS: Final = 30
RENEW_SECONDS: Final = 10


class Lease:
    """A Lease of coordination.k8s.io. Blocking."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._held: Object | None = None

    def hold(self) -> bool:
        """Take or renew the Lease; return whether it is held. Raises ApiError when the API server does not answer.

        A Lease of another operator is taken when it has not been renewed for its whole duration.
        """
        now = datetime.now(UTC)
        try:
            live = self._client.get(LEASE, self._namespace, self._name)
            if live is None:
                self._held = self._client.create(LEASE, self._namespace, self._manifest(now, None))
                return True
            spec = live.get("spec", {})
            if spec.get("holderIdentity") not in ("", None, self._identity) and not _expired(spec, now):
                return False
            self._held = self._client.replace(LEASE, self._namespace, self._name, self._manifest(now, live))
            return True
        except ApiError as error:
            if error.status == 409:  # somebody was faster
                return False
            raise

    def release(self) -> None:
        """Give the Lease up, so that the next operator need not wait for its end."""
        live = self._client.get(LEASE, self._namespace, self._name)
        if live is not None and live.get("spec", {}).get("holderIdentity") == self._identity:
            manifest = self._manifest(datetime.now(UTC), live)
            manifest["spec"]["holderIdentity"] = ""
            self._client.replace(LEASE, self._namespace, self._name, manifest)

    def _manifest(self, now: datetime, live: Object | None) -> Object:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (live or {}).get("spec", {})
        same = before.get("holderIdentity") == self._identity
        meta: Object = {"name": self._name, "namespace": self._namespace}
        if live is not None:
            meta["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": meta,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": before.get("acquireTime", stamp) if same else stamp,
                "renewTime": stamp,
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if same else 1),
            },
        }


def _expired(spec: Object, now: datetime) -> bool:
    try:
        renewed = datetime.fromisoformat(spec["renewTime"])
    except (KeyError, ValueError):
        return True
    return (now - renewed).total_seconds() > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)
