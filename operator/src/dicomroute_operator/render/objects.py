"""The bundle of everything that a route needs in a cluster, and what all of its objects have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from dicomroute_operator.api.meta import API_VERSION
from dicomroute_operator.api.route import DicomRoute

from . import names

Manifest = dict[str, Any]
"""A Kubernetes object as it is applied."""


@dataclass(frozen=True)
class RouteObjects:
    """Every object of one route. `configuration` is the content of the ConfigMap, as its gateway reads it."""

    configuration: Mapping[str, Any]
    service_account: Manifest
    network_policy: Manifest
    config_map: Manifest
    admin_secret: Manifest
    headless_service: Manifest
    service: Manifest
    stateful_set: Manifest
    pod_disruption_budget: Manifest

    def manifests(self) -> Iterator[Manifest]:
        """Yield the objects in the order in which they are applied."""
        yield from (getattr(self, field.name) for field in fields(self) if field.name != "configuration")


@dataclass(frozen=True)
class ServingCertificate:
    """The certificate and key of the admin API, in PEM; made elsewhere, as nothing here is random."""

    certificate: str
    key: str


@dataclass(frozen=True)
class RenderSettings:
    """What the operator adds to a route's own inputs.

    `admin_key` is the key from which each route's admin credential is derived. `user` is the user and group of the
    pods; None leaves them to the cluster, as OpenShift wants it.
    """

    gateway_image: str
    operator_namespace: str
    admin_key: bytes
    serving_certificate: ServingCertificate
    user: int | None = 65532


def labels(route: DicomRoute) -> dict[str, str]:
    """Return the labels of every object of a route; none of them ever changes, as selectors hold them."""
    return {
        "app.kubernetes.io/name": "dicomroute-gateway",
        "app.kubernetes.io/instance": route.metadata.name,
        "app.kubernetes.io/managed-by": "dicomroute-operator",
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
