"""Where the API server keeps the kinds of object that the operator reads and writes."""

from dataclasses import dataclass
from typing import Any, Final

from dicomroute_operator.api.meta import API_VERSION
from dicomroute_operator.kinds.listed import KINDS


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: its API version and the plural of its paths."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of one object, of all of a namespace, or of all in the cluster."""
        prefix = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        steps = [prefix, f"namespaces/{namespace}" if namespace else "", self.plural, name or "", subresource or ""]
        return "/".join(step for step in steps if step)


STATEFUL_SET: Final = Resource("apps/v1", "StatefulSet", "statefulsets")
SERVICE: Final = Resource("v1", "Service", "services")
CONFIG_MAP: Final = Resource("v1", "ConfigMap", "configmaps")
SECRET: Final = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNT: Final = Resource("v1", "ServiceAccount", "serviceaccounts")
NETWORK_POLICY: Final = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_DISRUPTION_BUDGET: Final = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
CLAIM: Final = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD: Final = Resource("v1", "Pod", "pods")
EVENT: Final = Resource("v1", "Event", "events")
LEASE: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
NAMESPACE: Final = Resource("v1", "Namespace", "namespaces")

OWN: Final = {name: Resource(API_VERSION, name, one.plural) for name, one in KINDS.items()}
"""The kinds that people write."""

WATCHED_CHILDREN: Final = (
    STATEFUL_SET,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    CLAIM,
    POD,
)
"""What belongs to routes and is followed by its label. Secrets are not among them: the operator may not read any."""

_BY_KIND: Final = {one.kind: one for one in (*WATCHED_CHILDREN, SECRET, EVENT, LEASE, *OWN.values())}


def resource_of(manifest: dict[str, Any]) -> Resource:
    """Return the resource of an object, or of a kind that is known here."""
    return _BY_KIND[manifest["kind"]]
