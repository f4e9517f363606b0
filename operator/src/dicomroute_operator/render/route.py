"""Renders a route: from its inputs to everything that it needs."""

import base64

from dicomroute_operator.api import identity
from dicomroute_operator.api.gateway import NetworkPolicyMode
from dicomroute_operator.api.inputs import RouteInputs

from . import names
from .claims import claims
from .gateway_configuration import configuration_data, configuration_text, gateway_configuration
from .network import headless_service, network_policy, pod_disruption_budget, service
from .objects import AdminCredential, RouteObjects, metadata
from .settings import RenderSettings
from .stateful_set import stateful_set


def render_route(inputs: RouteInputs, settings: RenderSettings, credential: AdminCredential) -> RouteObjects:
    """Return every object of a route. Equal inputs give equal objects."""
    route = inputs.route
    name = route.metadata.name
    configuration = gateway_configuration(inputs)
    account_metadata = metadata(route, names.gateway(name))
    annotations = {**settings.defaults.service_account_annotations, **identity.annotations(inputs)}
    if annotations:
        account_metadata["annotations"] = annotations
    return RouteObjects(
        configuration=configuration,
        service_account={
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": account_metadata,
            "automountServiceAccountToken": False,
        },
        network_policy=network_policy(inputs, settings)
        if route.spec.gateway.network_policy is not NetworkPolicyMode.DISABLED
        else None,
        config_map={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(route, names.configuration(name)),
            "data": configuration_data(
                credential.configuration_key, **{names.CONFIGURATION_KEY: configuration_text(configuration)}
            ),
        },
        admin_secret={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(route, names.admin_secret(name)),
            "type": "Opaque",
            "data": {
                "token": _base64(credential.token),
                "tls.crt": _base64(credential.certificate),
                "tls.key": _base64(credential.key),
                "configuration-key": _base64(credential.configuration_key),
                "console-key": _base64(credential.console_key),
            },
        },
        headless_service=headless_service(route),
        service=service(inputs),
        claims=claims(inputs),
        stateful_set=stateful_set(inputs, settings),
        pod_disruption_budget=pod_disruption_budget(route),
    )


def _base64(text: str) -> str:
    """Return a value as `data` of a Secret holds it; `stringData` is write-only, so that drift in it is not seen."""
    return base64.b64encode(text.encode()).decode()
