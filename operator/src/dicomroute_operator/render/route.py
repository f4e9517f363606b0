"""Renders a route: from its inputs to everything that it needs."""

import base64
import hashlib
import hmac

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.route import DicomRoute

from . import names
from .gateway_configuration import configuration_text, gateway_configuration
from .network import headless_service, network_policy, pod_disruption_budget, service
from .objects import RenderSettings, RouteObjects, metadata
from .stateful_set import stateful_set


def render_route(inputs: RouteInputs, settings: RenderSettings) -> RouteObjects:
    """Return every object of a route. Equal inputs give equal objects."""
    route = inputs.route
    name = route.metadata.name
    configuration = gateway_configuration(inputs)
    return RouteObjects(
        configuration=configuration,
        service_account={
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(route, names.gateway(name)),
            "automountServiceAccountToken": False,
        },
        network_policy=network_policy(inputs, settings),
        config_map={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(route, names.configuration(name)),
            "data": {names.CONFIGURATION_KEY: configuration_text(configuration)},
        },
        admin_secret={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(route, names.admin_secret(name)),
            "type": "Opaque",
            "data": {
                "token": _base64(admin_token(route, settings.admin_key)),
                "tls.crt": _base64(settings.serving_certificate.certificate),
                "tls.key": _base64(settings.serving_certificate.key),
            },
        },
        headless_service=headless_service(route),
        service=service(route),
        stateful_set=stateful_set(inputs, settings),
        pod_disruption_budget=pod_disruption_budget(route),
    )


def admin_token(route: DicomRoute, key: bytes) -> str:
    """Return the credential of a route's admin API: another route's tells nothing of it."""
    return hmac.new(key, route.metadata.uid.encode(), hashlib.sha256).hexdigest()


def _base64(text: str) -> str:
    """Return a value as `data` of a Secret holds it; `stringData` is write-only, so that drift in it is not seen."""
    return base64.b64encode(text.encode()).decode()
