"""Tests a CloudTarget: by the gateway of a route that uses it, or from this machine."""

import asyncio
import base64
import binascii
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomroute_client import calls
from dicomroute_client.documents.status import ProbeDocument
from dicomroute_gateway.admin.status import probe_document
from dicomroute_gateway.configuration.model import CloudTargetDestination
from dicomroute_gateway.dicomweb.client import Client
from dicomroute_gateway.log import configure
from dicomroute_gateway.probes.findings import Stores, findings
from dicomroute_gateway.probes.probe import probe
from dicomroute_operator.api.target import CloudTarget
from dicomroute_operator.render.gateway_configuration import cloud_target
from dicomroute_operator.render.names import mounted_file

from .admin_client import AdminClient
from .kubectl import get, kubectl
from .manifests.world import World, checked, load_world
from .output import Failure
from .state import RouteState

Values = Mapping[tuple[str, str], Mapping[str, bytes]]
"""What Secrets and ConfigMaps hold, by kind and name."""


@dataclass(frozen=True)
class Tested:
    """What a test found: who made it, and the document of the probe, also as the gateway's API has it."""

    target: str
    by: str
    probe: ProbeDocument
    data: Any

    @property
    def passed(self) -> bool:
        """Whether every step that is needed passed."""
        return all(step.result in ("Passed", "NotNeeded") for step in self.probe.steps)


def by_manifests(name: str, namespace: str | None, paths: Iterable[Path]) -> Tested:
    """Test a target of manifests from this machine, with the Secrets in them. Raises Failure."""
    world = load_world(paths)
    target = _of_world(world, name, namespace)
    where = target.metadata.namespace
    values = {("Secret", one): held for (space, one), held in world.secrets.items() if space == where}
    values |= {("ConfigMap", one): held for (space, one), held in world.config_maps.items() if space == where}
    return _from_here(f"{where}/{name}", "this machine", target, values)


def in_cluster(name: str, namespace: str | None, context: str | None) -> Tested:
    """Test a target of kubectl's cluster: by a gateway that uses it, otherwise from this machine. Raises Failure."""
    command = kubectl(namespace, context, "name the manifests with -f")
    found = get(command, "cloudtargets.dicomroute.dev", name)
    if found is None:
        raise Failure(f"there is no CloudTarget {name} in this namespace: name another with -n", 2)
    shown = f"{found['metadata']['namespace']}/{name}"
    failures: list[Failure] = []
    for route in _routes(get(command, "dicomroutes.dicomroute.dev") or {}, name):
        try:
            client = AdminClient.of_route(route, namespace, context)
            answer = client.ask(calls.test(CloudTarget.kind, name))
            return Tested(shown, f"the gateway of route {route}", answer.document, answer.data)
        except Failure as failure:  # another route's gateway may answer
            failures.append(failure)
    if failures:
        raise Failure("\n".join(map(str, failures)))
    data, errors = checked(CloudTarget, found)
    if errors:
        field, sentence = errors[0]
        raise Failure(f"CloudTarget/{name}: {field}: {sentence}", 2)
    target = CloudTarget.model_validate(data)
    return _from_here(shown, "this machine, as no route that runs uses it", target, _values(command, target))


def _of_world(world: World, name: str, namespace: str | None) -> CloudTarget:
    found = [one for (space, own), one in world.targets.items() if own == name and namespace in (None, space)]
    if len(found) > 1:
        spaces = ", ".join(sorted(one.metadata.namespace for one in found))
        raise Failure(f"CloudTarget {name} is in several namespaces ({spaces}): choose one with -n", 2)
    if not found:
        about = [str(one) for one in world.findings if one.object in (f"CloudTarget/{name}", "")]
        known = ", ".join(sorted(own for _, own in world.targets)) or "none"
        raise Failure("\n".join([*about, f"the manifests have no usable CloudTarget {name}; they have: {known}"]), 2)
    return found[0]


def _routes(listed: Mapping[str, Any], target: str) -> list[str]:
    """Return the routes that deliver to a target and have a gateway."""
    return sorted(
        route["metadata"]["name"]
        for route in listed.get("items", [])
        if route["spec"].get("gateway", {}).get("replicas", 1)
        and any(
            one["kind"] == CloudTarget.kind and one["name"] == target
            for rule in route["spec"].get("rules", [])
            for one in rule.get("destinations", [])
        )
    )


def _values(command: list[str], target: CloudTarget) -> Values:
    """Return what the Secrets and ConfigMaps of a target hold. Raises Failure for those that may not be read."""
    values: dict[tuple[str, str], dict[str, bytes]] = {}
    for kind, name in sorted({(one.kind, one.name) for one in target.files()}):
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


def _from_here(shown: str, by: str, target: CloudTarget, values: Values) -> Tested:
    document = _probe(target, values)
    return Tested(shown, by, document, document.model_dump(by_alias=True, mode="json"))


def _probe(target: CloudTarget, values: Values) -> ProbeDocument:
    """Make the steps from this machine; the Secrets are in a folder of the caller's own for as long as that takes."""
    destination = CloudTargetDestination.model_validate(cloud_target(target))
    wanted: dict[str, dict[str, bytes]] = {}
    for one in target.files():
        value = values.get((one.kind, one.name), {}).get(one.key)
        if value is not None:
            folder, _, key = mounted_file(one.kind, one.name, one.key).partition("/")
            wanted.setdefault(folder, {})[key] = value
    # What the gateway's own code would log is in the steps, and standard output is for the result.
    configure("critical")
    with tempfile.TemporaryDirectory(prefix="dicomroute-") as folder:
        state = RouteState(Path(folder))
        state.write_secrets(wanted)
        probed = asyncio.run(_run(destination, state.secrets))
    return probe_document(probed, findings(probed, Stores()))


async def _run(destination: CloudTargetDestination, secrets: Path) -> Any:
    client = Client(secrets)
    try:
        return await probe(client, destination)
    finally:
        await client.close()
