"""Tests a CloudTarget or a DicomNode: by the gateway of a route that delivers to it, or from this machine."""

import asyncio
import base64
import binascii
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dicomroute_client import calls
from dicomroute_client.documents.status import ProbeDocument
from dicomroute_gateway.admin.status import probe_document
from dicomroute_gateway.configuration.destinations import CloudTargetDestination, DicomNodeDestination
from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.log import configure
from dicomroute_gateway.probes.echo import echo
from dicomroute_gateway.probes.findings import Stores, findings, node_findings
from dicomroute_gateway.probes.probe import probe
from dicomroute_operator.api.delivery import DestinationKind
from dicomroute_operator.api.files import FileReference
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.render.gateway_configuration import cloud_target, destination_settings, dicom_node
from dicomroute_operator.render.names import mounted_file

from .admin_client import AdminClient
from .kubectl import get, kubectl
from .manifests.world import ManifestWorld, checked, load_world
from .output import Failure
from .state import RouteState

Json = dict[str, Any]
T = TypeVar("T", CloudTarget, DicomNode)
Values = Mapping[tuple[str, str], Mapping[str, bytes]]
"""What Secrets and ConfigMaps hold, by kind and name."""


@dataclass(frozen=True)
class Tested:
    """What a test found: of what, who made it, and the document of the probe, also as the gateway's API has it."""

    kind: str
    name: str
    by: str
    probe: ProbeDocument
    data: Any

    @property
    def passed(self) -> bool:
        """Whether every step that is needed passed."""
        return all(step.result in ("Passed", "NotNeeded") for step in self.probe.steps)


def target_by_manifests(name: str, namespace: str | None, paths: Iterable[Path]) -> Tested:
    """Test a target of manifests from this machine, with the Secrets in them. Raises Failure."""
    world = load_world(paths)
    target = _of_world(world, CloudTarget, name, namespace)
    where = target.metadata.namespace
    return _from_here("CloudTarget", f"{where}/{name}", "this machine", _probe(target, _values_of_world(world, where)))


def node_by_manifests(name: str, namespace: str | None, paths: Iterable[Path], calling: str) -> Tested:
    """Test a node of manifests from this machine, with the certificates in them; "" calls as their routes do.

    Raises Failure.
    """
    world = load_world(paths)
    node = _of_world(world, DicomNode, name, namespace)
    where = node.metadata.namespace
    by = "this machine"
    if not calling:
        calling, route = _calling([one for (space, _), one in sorted(world.routes.items()) if space == where], name)
        by = f"this machine, with the AE title {calling} of route {route}"
    return _from_here("DicomNode", f"{where}/{name}", by, _echo(node, calling, _values_of_world(world, where)))


def target_in_cluster(name: str, namespace: str | None, context: str | None) -> Tested:
    """Test a target of kubectl's cluster: by a gateway that uses it, otherwise from this machine. Raises Failure."""
    command, found, by_gateway = _by_gateways(CloudTarget, name, namespace, context, "")
    if by_gateway is not None:
        return by_gateway
    target = _model(CloudTarget, found)
    by = "this machine, because no running route uses it"
    values = _values_of_cluster(command, target.files())
    return _from_here("CloudTarget", f"{target.metadata.namespace}/{name}", by, _probe(target, values))


def node_in_cluster(name: str, namespace: str | None, context: str | None, calling: str) -> Tested:
    """Test a node of kubectl's cluster: by a gateway that delivers to it, otherwise from this machine. Raises Failure.

    From this machine it is called with the AE title that is given.
    """
    command, found, by_gateway = _by_gateways(DicomNode, name, namespace, context, calling)
    if by_gateway is not None:
        return by_gateway
    if not calling:
        raise Failure(f"no running route delivers to DicomNode {name}: give the calling AE title with --calling", 2)
    node = _model(DicomNode, found)
    by = "this machine, because no running route delivers to it"
    values = _values_of_cluster(command, node.files())
    return _from_here("DicomNode", f"{node.metadata.namespace}/{name}", by, _echo(node, calling, values))


def _by_gateways(
    model: type[CloudTarget | DicomNode], name: str, namespace: str | None, context: str | None, calling: str
) -> tuple[list[str], Json, Tested | None]:
    """Return how kubectl is called, the object, and what the first gateway that answers found; None without one."""
    kind = model.kind
    command = kubectl(namespace, context, "name the manifests with -f")
    found = get(command, f"{kind.lower()}s.dicomroute.dev", name)
    if found is None:
        raise Failure(f"there is no {kind} {name} in this namespace: name another with -n", 2)
    shown = f"{found['metadata']['namespace']}/{name}"
    failures: list[Failure] = []
    for route in _routes(get(command, "dicomroutes.dicomroute.dev") or {}, kind, name):
        try:
            client = AdminClient.of_route(route, namespace, context)
            answer = client.ask(calls.probe(kind, name, calling))
            tested = Tested(kind, shown, f"the gateway of route {route}", answer.document, answer.data)
            return command, found, tested
        except Failure as failure:  # another route's gateway may answer
            failures.append(failure)
    if failures:
        raise Failure("\n".join(map(str, failures)))
    return command, found, None


def _model(model: type[T], found: Json) -> T:
    data, errors = checked(model, found)
    if errors:
        field, sentence = errors[0]
        raise Failure(f"{model.kind}/{found['metadata']['name']}: {field}: {sentence}", 2)
    return model.model_validate(data)


def _of_world(world: ManifestWorld, model: type[T], name: str, namespace: str | None) -> T:
    kind = model.kind
    several: Mapping[tuple[str, str], Any] = world.targets if model is CloudTarget else world.nodes
    found: list[T] = [one for (space, own), one in several.items() if own == name and namespace in (None, space)]
    if len(found) > 1:
        spaces = ", ".join(sorted(one.metadata.namespace for one in found))
        raise Failure(f"{kind} {name} is in several namespaces ({spaces}): choose one with -n", 2)
    if not found:
        about: list[str] = [str(one) for one in world.findings if one.object in (f"{kind}/{name}", "")]
        known = ", ".join(sorted(own for _, own in several)) or "none"
        raise Failure("\n".join([*about, f"the manifests have no usable {kind} {name}; they have: {known}"]), 2)
    return found[0]


def _calling(routes: Iterable[DicomRoute], node: str) -> tuple[str, str]:
    """Return the AE title with which a node is called, and the first route that calls it so. Raises Failure."""
    for route in routes:
        for one in RouteInputs(route).destinations():
            if one.kind is DestinationKind.DICOM_NODE and one.name == node:
                return str(destination_settings(route, one)["callingAETitle"]), route.metadata.name
    raise Failure(
        f"no route in the manifests delivers to DicomNode {node}: give the calling AE title with --calling", 2
    )


def _routes(listed: Mapping[str, Any], kind: str, name: str) -> list[str]:
    """Return the routes that deliver to a destination and have a gateway."""
    return sorted(
        route["metadata"]["name"]
        for route in listed.get("items", [])
        if route["spec"].get("gateway", {}).get("replicas", 1)
        and any(
            one["kind"] == kind and one["name"] == name
            for rule in route["spec"].get("rules", [])
            for one in rule.get("destinations", [])
        )
    )


def _values_of_world(world: ManifestWorld, namespace: str) -> Values:
    """Return what the Secrets and ConfigMaps of a namespace hold."""
    values = {("Secret", one): held for (space, one), held in world.secrets.items() if space == namespace}
    return values | {("ConfigMap", one): held for (space, one), held in world.config_maps.items() if space == namespace}


def _values_of_cluster(command: list[str], files: Iterable[FileReference]) -> Values:
    """Return what Secrets and ConfigMaps hold. Raises Failure for those that may not be read."""
    values: dict[tuple[str, str], dict[str, bytes]] = {}
    for kind, name in sorted({(one.kind, one.name) for one in files}):
        found = get(command, kind.lower(), name)
        if found is None:
            continue  # the test says that it is missing
        try:
            held = {key: base64.b64decode(value) for key, value in found.get("binaryData", {}).items()}
            for key, value in found.get("data", {}).items():
                held[key] = base64.b64decode(value) if kind == "Secret" else value.encode()
        except (ValueError, binascii.Error) as error:
            raise Failure(f"{kind} {name} cannot be read: {error}") from error
        values[(kind, name)] = held
    return values


@contextmanager
def _mounted(files: Iterable[FileReference], values: Values) -> Iterator[Path]:
    """Have files in a folder of the caller's own, as a gateway's pod has them."""
    wanted: dict[str, dict[str, bytes]] = {}
    for one in files:
        value = values.get((one.kind, one.name), {}).get(one.key)
        if value is not None:
            folder, _, key = mounted_file(one.kind, one.name, one.key).partition("/")
            wanted.setdefault(folder, {})[key] = value
    # What the gateway's own code would log is in the steps, and standard output is for the result.
    configure("critical")
    with tempfile.TemporaryDirectory(prefix="dicomroute-") as name:
        state = RouteState(Path(name))
        state.write_secrets(wanted)
        yield state.secrets


def _from_here(kind: str, name: str, by: str, document: ProbeDocument) -> Tested:
    return Tested(kind, name, by, document, document.model_dump(by_alias=True, mode="json"))


def _probe(target: CloudTarget, values: Values) -> ProbeDocument:
    """Make the steps to a target from this machine."""
    destination = CloudTargetDestination.model_validate(cloud_target(target))
    with _mounted(target.files(), values) as secrets:
        probed = asyncio.run(_run(destination, secrets))
    return probe_document(probed, findings(probed, Stores()))


def _echo(node: DicomNode, calling: str, values: Values) -> ProbeDocument:
    """Make the steps to a node from this machine."""
    if node.spec.host is None:
        raise Failure(f"DicomNode {node.metadata.name} has no spec.host, so it cannot be called: add spec.host", 2)
    _, errors = checked(DicomNode, {"metadata": {"name": "us"}, "spec": {"aeTitle": calling, "anyAddress": True}})
    if errors:
        raise Failure(f"--calling {calling}: {errors[0][1]}", 2)
    rendered = dicom_node(node, node.spec.host)
    destination = DicomNodeDestination.model_validate({**rendered, "callingAETitle": calling})
    with _mounted(node.files(), values) as secrets:
        probed = echo(destination, TlsContexts(secrets))
    return probe_document(probed, node_findings(probed, Stores()))


async def _run(destination: CloudTargetDestination, secrets: Path) -> Any:
    client = Client(secrets)
    try:
        return await probe(client, destination)
    finally:
        await client.close()
