"""Runs the gateways of all routes as processes of this machine, and keeps their configuration up to date."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration

from .examine import examine, inputs_of
from .manifests.read import files_of
from .manifests.world import Key, World, load_world
from .output import Failure, print_error
from .state import RouteState, event_line, route_state, write_address

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class RunSettings:
    """What `dicomroute run` was asked for. `ports` are by NAMESPACE/ROUTE/LISTENER."""

    paths: Sequence[Path]
    state: Path
    bind: str
    admin_port: int
    ports: Mapping[str, int]
    log_level: str


@dataclass
class _Child:
    """One gateway process."""

    key: Key
    state: RouteState
    process: asyncio.subprocess.Process
    event: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "/".join(self.key)


async def run(settings: RunSettings) -> int:
    """Run every route until SIGTERM or SIGINT; return the exit code. Raises Failure."""
    world = load_world(settings.paths)
    _refuse_findings(world)
    if not world.routes:
        raise Failure("the manifests have no DicomRoute: add one", 2)
    ports = _ports(world, settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    children: list[_Child] = []
    try:
        for offset, key in enumerate(sorted(world.routes)):
            admin_port = settings.admin_port + offset if settings.admin_port else 0
            children.append(await _start(world, key, settings, ports, admin_port))
        announced = {child.name: _announcement(child, world, settings) for child in children}
        print(event_line(announced), flush=True)
        return await _supervise(children, world, settings, stop)
    finally:
        await _stop(children)


def _refuse_findings(world: World) -> None:
    findings = examine(world)
    for finding in findings:
        print_error(f"{'' if finding.is_error else 'warning: '}{finding}")
    errors = sum(one.is_error for one in findings)
    if errors:
        raise Failure(f"{errors} finding{'s' if errors > 1 else ''}: nothing was started", 2)


def _ports(world: World, settings: RunSettings) -> dict[str, int]:
    """Return the port of every listener by NAMESPACE/ROUTE/LISTENER. Raises Failure for a collision."""
    taken: dict[int, str] = {}
    ports: dict[str, int] = {}
    known = set()
    for offset, key in enumerate(sorted(world.routes)):
        route = "/".join(key)
        wanted = [(f"the admin API of {route}", settings.admin_port + offset if settings.admin_port else 0)]
        for listener in world.routes[key].spec.listeners:
            name = f"{route}/{listener.name}"
            known.add(name)
            ports[name] = settings.ports.get(name, listener.port)
            wanted.append((f"listener {name}", ports[name]))
        for what, port in wanted:
            if port and port in taken:
                raise Failure(
                    f"{taken[port]} and {what} want port {port}: change one of the manifests, or use --port "
                    "NAMESPACE/ROUTE/LISTENER=N or --admin-port N",
                    2,
                )
            taken[port] = what
    for name in settings.ports.keys() - known:
        raise Failure(f"--port {name}: there is no such listener; there are {', '.join(sorted(known))}", 2)
    return ports


async def _start(world: World, key: Key, settings: RunSettings, ports: Mapping[str, int], admin_port: int) -> _Child:
    state = route_state(settings.state, *key)
    try:
        state.prepare()
        _write(world, key, state)
    except OSError as error:
        raise Failure(f"the state folder {settings.state} cannot be used: {error.strerror}", 2) from error
    route = "/".join(key)
    listen = [f"--listen={one.name}={ports[f'{route}/{one.name}']}" for one in world.routes[key].spec.listeners]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dicomroute_gateway",
        f"--configuration={state.configuration}",
        f"--secrets={state.secrets}",
        f"--spool={state.spool}",
        f"--admin-token={state.admin_token}",
        f"--bind={settings.bind}",
        f"--admin-port={admin_port}",
        f"--log-level={settings.log_level}",
        f"--parent={os.getpid()}",
        *listen,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    child = _Child(key, state, process)
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        code = await process.wait()
        raise Failure(f"the gateway of {route} ended with code {code} before it was ready; its log says why", 2)
    child.event = json.loads(line)
    if child.event["event"] != "ready":
        await _stop([child])
        problems = "; ".join(f"{section}: {reason}: {message}" for section, reason, message in child.event["problems"])
        raise Failure(f"the gateway of {route} is not ready: {problems}", 2)
    return child


def _write(world: World, key: Key, state: RouteState) -> None:
    """Write what the gateway reads: as the operator would render it, as the kubelet would mount it."""
    inputs = inputs_of(world, key)
    state.write_secrets(_secrets(world, inputs))
    state.write_configuration(configuration_text(gateway_configuration(inputs)))


def _secrets(world: World, inputs: RouteInputs) -> dict[str, dict[str, bytes]]:
    wanted: dict[str, dict[str, bytes]] = {}
    for target in inputs.targets.values():
        if target.spec.auth.basic is None:
            continue
        reference = target.spec.auth.basic.password_secret_ref
        value = world.secrets.get((inputs.route.metadata.namespace, reference.name), {}).get(reference.key)
        if value is not None:
            wanted.setdefault(reference.name, {})[reference.key] = value
    return wanted


def _announcement(child: _Child, world: World, settings: RunSettings) -> dict[str, str]:
    first = world.routes[child.key].spec.listeners[0].name
    bind = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return {
        "dicom": f"{bind}:{child.event['listeners'][first]}",
        "admin": write_address(child.state, settings.bind, child.event["admin"]),
    }


async def _supervise(children: list[_Child], world: World, settings: RunSettings, stop: asyncio.Event) -> int:
    """Follow the manifests until `stop`, or until a gateway ends by itself, which is a failure."""
    ends = {asyncio.create_task(child.process.wait()): child for child in children}
    stopping = asyncio.create_task(stop.wait())
    seen = _fingerprint(settings.paths)
    try:
        while True:
            done, _ = await asyncio.wait({stopping, *ends}, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
            if stopping in done:
                return 0
            for task in done:
                child = ends[task]
                print_error(f"the gateway of {child.name} ended with code {child.process.returncode}; its log says why")
                return 1
            now = _fingerprint(settings.paths)
            if now != seen:
                seen = now
                world = _follow(children, world, settings)
    finally:
        for task in (stopping, *ends):
            task.cancel()


def _follow(children: list[_Child], world: World, settings: RunSettings) -> World:
    """Take changed manifests over; with an error in one of them, everything goes on as it is."""
    changed = load_world(settings.paths)
    findings = examine(changed)
    for finding in findings:
        print_error(f"{'' if finding.is_error else 'warning: '}{finding}")
    # What is only missing is taken over: deliveries to a removed target are to be Held, not made.
    if any(one.is_error and not one.message.startswith(_MISSING) for one in findings):
        print_error("the manifests have changed and do not pass: the gateways keep what they had")
        return world
    for key in changed.routes.keys() ^ world.routes.keys():
        print_error(f"{'/'.join(key)} was added or removed: restart `dicomroute run` for that")
    for child in children:
        if child.key in changed.routes:
            try:
                _write(changed, child.key, child.state)
            except OSError as error:
                print_error(f"{child.state.folder}: {error.strerror}: {child.name} keeps what it had")
    return changed


_MISSING: Final = ("NodeNotFound:", "NoNodeSelected:", "TargetNotFound:", "SecretNotFound:", "SecretKeyMissing:")


def _fingerprint(paths: Sequence[Path]) -> list[tuple[str, int, int, int]]:
    found = []
    for file in files_of([path for path in paths if path.exists()]):
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return found


async def _stop(children: Sequence[_Child]) -> None:
    """Let every gateway drain."""
    for child in children:
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)
    for child in children:
        await child.process.wait()
