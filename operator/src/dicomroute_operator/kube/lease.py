"""The Lease that says which operator works, so that never two do at once, and that it still does."""

import time
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
        self._seen_renewal = ("", "")
        self._seen_time = 0.0

    def hold(self) -> bool:
        """Take or renew the Lease; return whether it is held. Raises ApiError when the API server does not answer.

        A Lease of another operator is taken when it has not been renewed for its whole duration, by our own clock.
        """
        for _ in range(2):
            try:
                return self._hold()
            except ApiError as error:
                if error.status != 409:  # somebody was faster, or our own last request had come through after all
                    raise
        return False

    def _hold(self) -> bool:
        now = datetime.now(UTC)
        live = self._client.get(LEASE, self._namespace, self._name)
        if live is None:
            self._client.create(LEASE, self._namespace, self._manifest(now, None))
            return True
        if self._is_of_another(live.get("spec", {})):
            return False
        self._client.replace(LEASE, self._namespace, self._name, self._manifest(now, live))
        return True

    def _is_of_another(self, spec: Object) -> bool:
        if spec.get("holderIdentity") in ("", None, self._identity):
            return False
        renewal = (str(spec.get("holderIdentity")), str(spec.get("renewTime")))
        if renewal != self._seen_renewal:
            self._seen_renewal, self._seen_time = renewal, time.monotonic()
        return time.monotonic() - self._seen_time < float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

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
