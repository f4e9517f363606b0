"""The checks of what a route names: it exists, and is what the route needs of it."""

from collections.abc import Iterator, Mapping

from dicomroute_operator.api.conditions import ResolvedRefs
from dicomroute_operator.api.delivery import DestinationKind
from dicomroute_operator.api.inputs import NeededFile, RouteInputs
from dicomroute_operator.api.listener import ClientCertificates, SourcePolicy
from dicomroute_operator.api.reason import Reason

from .finding import Finding, route_fault


def node_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that a listener or a rule names exists."""
    for listener in inputs.route.spec.listeners:
        for reference in listener.sources.nodes:
            if reference.name not in inputs.nodes:
                yield route_fault(
                    inputs,
                    ResolvedRefs.NODE_NOT_FOUND,
                    f"spec.listeners[{listener.name}].sources.nodes[{reference.name}]",
                    f"there is no DicomNode {reference.name} in the namespace: create it, or correct the name",
                )
    yield from _not_found(inputs, DestinationKind.DICOM_NODE, ResolvedRefs.NODE_NOT_FOUND)


def node_may_not_call(inputs: RouteInputs) -> Iterator[Finding]:
    """A node without allowedSources is called, and calls from nowhere: to name it as a source is a mistake."""
    for listener in inputs.route.spec.listeners:
        for reference in listener.sources.nodes:
            node = inputs.nodes.get(reference.name)
            if node is not None and not node.spec.may_call:
                yield route_fault(
                    inputs,
                    ResolvedRefs.NODE_MAY_NOT_CALL,
                    f"spec.listeners[{listener.name}].sources.nodes[{reference.name}]",
                    f"DicomNode {reference.name} has no allowedSources, so listener {listener.name} refuses it: add "
                    "allowedSources, or remove the node from the listener",
                )


def node_certificate_not_verified(inputs: RouteInputs) -> Iterator[Finding]:
    """A node that has to show a certificate calls listeners alone that verify one."""
    for listener in inputs.route.spec.listeners:
        if listener.tls is not None and listener.tls.client_certificates is not ClientCertificates.IGNORED:
            continue
        for node in inputs.nodes_of(listener):
            if node.spec.certificates:
                what = "no tls" if listener.tls is None else "tls.clientCertificates: Ignored"
                yield route_fault(
                    inputs,
                    ResolvedRefs.NODE_CERTIFICATE_NOT_VERIFIED,
                    f"spec.listeners[{listener.name}].tls",
                    f"DicomNode {node.metadata.name} has certificates, but listener {listener.name} has {what}, so it "
                    "refuses the node: set clientCertificates: Required, or remove the node's certificates",
                )


def no_node_selected(inputs: RouteInputs) -> Iterator[Finding]:
    """A listener that admits nodes alone has at least one."""
    for listener in inputs.route.spec.listeners:
        sources = listener.sources
        if sources.policy is SourcePolicy.NODES and not sources.nodes and not inputs.nodes_of(listener):
            yield route_fault(
                inputs,
                ResolvedRefs.NO_NODE_SELECTED,
                f"spec.listeners[{listener.name}].sources.selector",
                f"no DicomNode has the labels that listener {listener.name} selects, so no node can associate: add the "
                "labels to a node, or name one in nodes",
            )


def target_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every target that a rule names exists."""
    yield from _not_found(inputs, DestinationKind.CLOUD_TARGET, ResolvedRefs.TARGET_NOT_FOUND)


def profile_not_found(inputs: RouteInputs) -> Iterator[Finding]:
    """Every profile that a rule names exists; without it nothing of what the rule takes is sent."""
    for rule in inputs.route.spec.rules:
        if rule.deidentify is not None and rule.deidentify.name not in inputs.profiles:
            yield route_fault(
                inputs,
                ResolvedRefs.PROFILE_NOT_FOUND,
                f"spec.rules[{rule.name}].deidentify[{rule.deidentify.name}]",
                f"there is no DeidentificationProfile {rule.deidentify.name} in the namespace: create it, or correct "
                "the name; until then, instances that match the rule are Held",
            )


def node_has_no_host(inputs: RouteInputs) -> Iterator[Finding]:
    """Every node that a rule names says where it is called."""
    for rule in inputs.route.spec.rules:
        for destination in rule.destinations:
            node = inputs.node_of(destination)
            if node is not None and node.spec.host is None:
                yield route_fault(
                    inputs,
                    ResolvedRefs.NODE_HAS_NO_HOST,
                    f"spec.rules[{rule.name}].destinations[{destination.name}]",
                    f"DicomNode {destination.name} is a destination and has no host: add spec.host, and spec.port if "
                    "it is not 104; until then, its deliveries are Held",
                )


def _not_found(inputs: RouteInputs, kind: DestinationKind, reason: Reason) -> Iterator[Finding]:
    """Every destination of a kind exists."""
    for rule in inputs.route.spec.rules:
        for one in rule.destinations:
            if one.kind is kind and inputs.target_of(one) is None and inputs.node_of(one) is None:
                yield route_fault(
                    inputs,
                    reason,
                    f"spec.rules[{rule.name}].destinations[{one.name}]",
                    f"there is no {kind} {one.name} in the namespace: create it, or correct the name; until then, its "
                    "deliveries are Held",
                )


def file_missing(inputs: RouteInputs) -> Iterator[Finding]:
    """Every Secret, ConfigMap and key that is named exists, as far as anybody may look."""
    yield from dict.fromkeys(_files_missing(inputs))  # of what is not there, each key says the same


def _files_missing(inputs: RouteInputs) -> Iterator[Finding]:
    for needed in inputs.files():
        known = inputs.secrets if needed.kind == "Secret" else inputs.config_maps
        if known is not None:
            yield from _missing(inputs, needed, known)
        elif _mounted_as(needed) in (inputs.existing.unmounted or ()):
            yield _unmounted(inputs, needed)


def _mounted_as(needed: NeededFile) -> str:
    """Return how the gateway names a file (`names.mounted_file`)."""
    prefix = "" if needed.kind == "Secret" else f"{needed.kind}-"
    return f"{prefix}{needed.name}/{needed.key}"


def _unmounted(inputs: RouteInputs, needed: NeededFile) -> Finding:
    """The gateway says which files it misses; whether it is the object or its key, nobody else may see."""
    kind = needed.kind
    return route_fault(
        inputs,
        ResolvedRefs.SECRET_NOT_FOUND if kind == "Secret" else ResolvedRefs.CONFIG_MAP_NOT_FOUND,
        needed.field,
        f"{needed.who} needs the key {needed.key} of {kind} {needed.name}, which does not exist: create the {kind} "
        "with this key; the gateway sees it within two minutes",
    )


def _missing(inputs: RouteInputs, needed: NeededFile, known: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    kind, name = needed.kind, needed.name
    if name not in known:
        yield route_fault(
            inputs,
            ResolvedRefs.SECRET_NOT_FOUND if kind == "Secret" else ResolvedRefs.CONFIG_MAP_NOT_FOUND,
            f"{needed.field}.name",
            f"{needed.who} needs the {kind} {name}, which does not exist: create it",
        )
    elif needed.key not in known[name]:
        yield route_fault(
            inputs,
            ResolvedRefs.SECRET_KEY_MISSING if kind == "Secret" else ResolvedRefs.CONFIG_MAP_KEY_MISSING,
            f"{needed.field}.key",
            f"{needed.who} needs the key {needed.key} of {kind} {name}, which has only the keys "
            f"{', '.join(sorted(known[name])) or 'none'}: add the key, or correct its name",
        )
