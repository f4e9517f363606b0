"""The embedded cluster's API server, asked without kubectl, whose every start costs as much as forty requests; tests
that wait ask a thousand times.
"""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Final

from manifests import API_VERSION, PLURALS, Json

_PATHS: Final = {
    **{one: f"/api/v1/{one}s" for one in ("configmap", "event", "pod", "resourcequota", "secret", "service")},
    "pvc": "/api/v1/persistentvolumeclaims",
    "statefulset": "/apis/apps/v1/statefulsets",
    "networkpolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "poddisruptionbudget": "/apis/policy/v1/poddisruptionbudgets",
    **{kind.lower(): f"/apis/{API_VERSION}/{plural}" for kind, plural in PLURALS.items()},
}
"""Where the kinds of the tests are, by what kubectl calls them."""


class ApiServer:
    """Reads objects as the administrator; `certificates` is the folder that `tests/cluster/certificates` fills."""

    def __init__(self, url: str, certificates: Path) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        self._context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")

    @staticmethod
    def knows(kind: str) -> bool:
        """Whether it knows where a kind is."""
        return _singular(kind) in _PATHS

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """Return an object, or None when there is none."""
        try:
            return self._ask(f"{_path(kind, namespace)}/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise AssertionError(f"{kind} {namespace}/{name}: {error.read().decode(errors='replace')}") from error
            return None

    def list(self, kind: str, namespace: str, selector: str) -> list[Json]:
        """Return the objects of a kind that have these labels."""
        query = urllib.parse.urlencode({"labelSelector": selector} if selector else {})
        return list(self._ask(f"{_path(kind, namespace)}?{query}")["items"])

    def _ask(self, path: str) -> Json:
        with urllib.request.urlopen(f"{self._url}{path}", context=self._context, timeout=30) as response:
            return dict(json.load(response))


def _singular(kind: str) -> str:
    return kind if kind in _PATHS else kind.removesuffix("s")


def _path(kind: str, namespace: str) -> str:
    group, _, plural = _PATHS[_singular(kind)].rpartition("/")
    return f"{group}/namespaces/{namespace}/{plural}"
