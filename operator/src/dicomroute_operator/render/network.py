"""Renders how a gateway is reached: its Services, and the policy of who may reach it."""

from typing import Any

from dicomroute_operator.api.gateway import LoadBalancerSources, NetworkPolicyMode, ServiceType
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.listener import Listener
from dicomroute_operator.api.route import DicomRoute

from . import names
from .egress import egress
from .objects import Manifest, metadata
from .settings import RenderSettings


def source_ranges(inputs: RouteInputs) -> list[str]:
    """Return the networks that a load balancer lets in; none where it is not to look, or somebody may be anywhere."""
    route = inputs.route
    if route.spec.gateway.service.load_balancer_sources is LoadBalancerSources.ANYWHERE or any(
        inputs.may_be_anywhere(listener) for listener in route.spec.listeners
    ):
        return []
    nodes = [node for listener in route.spec.listeners for node in inputs.nodes_of(listener)]
    return sorted({network for node in nodes for network in node.spec.allowed_sources})


def service(inputs: RouteInputs) -> Manifest:
    """Return the Service that modalities connect to.

    The application protocol is not said: no proxy on the way understands DICOM, and none should try.
    """
    route = inputs.route
    wanted = route.spec.gateway.service
    published = {port.listener: port.port for port in wanted.ports}
    node_ports = {port.listener: port.node_port for port in wanted.ports if port.node_port is not None}
    spec: Manifest = {
        "type": str(wanted.type),
        "selector": {names.ROUTE_LABEL: route.metadata.name},
        "ports": [
            {
                "name": listener.name,
                "port": published.get(listener.name, listener.port),
                "targetPort": listener.name,
                "protocol": "TCP",
                **({"nodePort": node_ports[listener.name]} if listener.name in node_ports else {}),
            }
            for listener in route.spec.listeners
        ],
    }
    if wanted.type is not ServiceType.CLUSTER_IP:
        spec["externalTrafficPolicy"] = str(wanted.external_traffic_policy)
    if wanted.type is ServiceType.LOAD_BALANCER and (ranges := source_ranges(inputs)):
        spec["loadBalancerSourceRanges"] = ranges
    if wanted.load_balancer_ip:
        spec["loadBalancerIP"] = wanted.load_balancer_ip
    if wanted.load_balancer_class is not None:
        spec["loadBalancerClass"] = wanted.load_balancer_class
    if wanted.allocate_load_balancer_node_ports is not None:
        spec["allocateLoadBalancerNodePorts"] = wanted.allocate_load_balancer_node_ports
    if wanted.ip_family_policy is not None:
        spec["ipFamilyPolicy"] = str(wanted.ip_family_policy)
    meta = metadata(route, names.service(route.metadata.name))
    if wanted.annotations:
        meta["annotations"] = dict(wanted.annotations)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def headless_service(route: DicomRoute) -> Manifest:
    """Return the headless Service of the pods; the operator asks each by name, ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(route, names.headless_service(route.metadata.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {names.ROUTE_LABEL: route.metadata.name},
            "ports": [{"name": "api", "port": names.API_PORT, "targetPort": "api", "protocol": "TCP"}],
        },
    }


def network_policy(inputs: RouteInputs, settings: RenderSettings) -> Manifest:
    """Return the policy of who may reach the gateway, and what it may reach.

    A NetworkPolicy knows addresses and ports, not host names: a destination that is named by one is open by its port.
    """
    route = inputs.route
    readers = dict.fromkeys((settings.operator_namespace, *settings.defaults.monitoring_namespaces))
    ingress = [rule for listener in route.spec.listeners for rule in _from_callers(inputs, listener)]
    ingress.append({"from": [_namespace(settings.operator_namespace)], "ports": [_port("api")]})
    # A node's kubelet reaches its own pods whatever a policy says, so that probes need no rule.
    ingress.append({"from": [_namespace(name) for name in readers], "ports": [_port("health")]})
    spec: Manifest = {
        "podSelector": {"matchLabels": {names.ROUTE_LABEL: route.metadata.name}},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    if route.spec.gateway.network_policy is NetworkPolicyMode.ENABLED:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = egress(inputs, settings.defaults.machine_identities)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(route, names.gateway(route.metadata.name)),
        "spec": spec,
    }


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def pod_disruption_budget(route: DicomRoute) -> Manifest:
    """Return the budget: one pod may always go, as a minimum of one would keep its node from being drained.

    So may one that does not work: it keeps nothing up, and its spool stays.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(route, names.gateway(route.metadata.name)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {names.ROUTE_LABEL: route.metadata.name}},
        },
    }


def _from_callers(inputs: RouteInputs, listener: Listener) -> list[dict[str, Any]]:
    """Return who may reach a listener: the networks of its nodes, or everybody where one may call from anywhere.

    Without a node there is no rule: nobody may call, and an empty `from` would let everybody in.
    """
    nodes = inputs.nodes_of(listener)
    if inputs.may_be_anywhere(listener):
        return [{"ports": [_port(listener.name)]}]
    networks = sorted({network for node in nodes for network in node.spec.allowed_sources})
    if not networks:
        return []
    return [{"ports": [_port(listener.name)], "from": [{"ipBlock": {"cidr": network}} for network in networks]}]


def _port(name: str) -> Manifest:
    return {"port": name, "protocol": "TCP"}
