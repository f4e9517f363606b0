"""kopf as an informer: every event of our kinds goes into the world, and what it concerns into the queue.

Nothing but `on.event`: other handlers leave finalizers and annotations behind, and act on edges that can be missed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import kopf
from kubernetes.client import Configuration

from dicomroute_operator.api.meta import GROUP, VERSION
from dicomroute_operator.kube.client import WATCH_SECONDS
from dicomroute_operator.kube.resources import OWN

Observed = Callable[[str, dict[str, Any], bool], Awaitable[None]]
"""Called with the kind, the object, and whether it was deleted."""


def kopf_registry(observed: Observed, configuration: Configuration) -> kopf.OperatorRegistry:
    """Return kopf's handlers; it speaks to the API server as the client with this configuration does."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        header = str(configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or "")
        scheme, _separator, token = header.rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme or None,
            token=token or None,
        )

    kopf.on.login(registry=registry)(login)
    for kind, resource in OWN.items():
        kopf.on.event(GROUP, VERSION, resource.plural, registry=registry, id=kind)(_handler(kind, observed))
    return registry


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: it writes nothing, and does not look for namespaces or resources of its own accord."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + 10
    settings.watching.connect_timeout = 10
    return settings


def _handler(kind: str, observed: Observed) -> Any:
    async def handle(event: Any, **_: Any) -> None:
        await observed(kind, dict(event["object"]), event["type"] == "DELETED")

    return handle
