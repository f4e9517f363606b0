"""The bundle of everything that a route needs in a cluster, and what all of its objects have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dicomroute_operator.api.meta import API_VERSION
from dicomroute_operator.api.route import DicomRoute

from . import names

Manifest = dict[str, Any]
"""A Kubernetes object as it is applied."""

GATEWAY = "dicomroute-gateway"
"""The label app.kubernetes.io/name of all gateways."""


@dataclass(frozen=True)
class RouteObjects:
    """Every object of one route. `configuration` is the content of the ConfigMap, as its gateway reads it.

    `claims` are those that exist and have to change: they are labelled and grown, never made, owned or deleted here.
    """

    configuration: Mapping[str, Any]
    service_account: Manifest
    network_policy: Manifest | None
    config_map: Manifest
    admin_secret: Manifest
    headless_service: Manifest
    service: Manifest
    claims: tuple[Manifest, ...]
    stateful_set: Manifest
    pod_disruption_budget: Manifest

    def manifests(self) -> Iterator[Manifest]:
        """Yield the objects in the order in which they are applied: what the pods need comes before them."""
        yield self.service_account
        if self.network_policy is not None:
            yield self.network_policy
        yield self.config_map
        yield self.admin_secret
        yield self.headless_service
        yield self.service
        yield from self.claims
        yield self.stateful_set
        yield self.pod_disruption_budget


@dataclass(frozen=True)
class AdminCredential:
    """What protects a route's gateway: the bearer token of its admin API, the serving certificate with its key in PEM,
    the key by which the gateway recognizes the operator's configurations, and the one by which it knows the tokens of
    the console.
    """

    token: str
    certificate: str
    key: str
    configuration_key: str
    console_key: str


def labels(route: DicomRoute) -> dict[str, str]:
    """Return the labels of every object of a route; none of them ever changes, as selectors hold them."""
    return {
        "app.kubernetes.io/name": GATEWAY,
        "app.kubernetes.io/instance": route.metadata.name,
        names.MANAGED_BY_LABEL: names.MANAGER,
        names.ROUTE_LABEL: route.metadata.name,
    }


def metadata(route: DicomRoute, name: str) -> Manifest:
    """Return the metadata of an object that lives and dies with its route.

    blockOwnerDeletion is left out: it would need the permission to update finalizers, and nothing waits here.
    """
    return {
        "name": name,
        "namespace": route.metadata.namespace,
        "labels": labels(route),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "DicomRoute",
                "name": route.metadata.name,
                "uid": route.metadata.uid,
                "controller": True,
            }
        ],
    }
