"""Runs the gateways of all routes as processes of this machine, and keeps them as the manifests say."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration

from .console import ConsoleProcess
from .examine import examine, inputs_of
from .manifests.mounted import mounted_files
from .manifests.read import ManifestFinding, files_of
from .manifests.world import Key, ManifestWorld, load_world
from .output import Failure, print_error
from .state import RouteState, event_line, route_state, write_address
from .state_lock import lock_state

_POLL_SECONDS: Final = 0.5
_RESTART_SECONDS: Final = (1, 2, 5, 10, 30)
_GRACE_SECONDS: Final = 10
_MISSING: Final = (
    "NodeNotFound:",
    "NodeMayNotCall:",
    "NoNodeSelected:",
    "TargetNotFound:",
    "NodeHasNoHost:",
    "SecretNotFound:",
    "SecretKeyMissing:",
    "ConfigMapNotFound:",
    "ConfigMapKeyMissing:",
)
"""Findings that do not keep a change from being taken over: deliveries to a removed destination are to be Held."""


@dataclass(frozen=True)
class RunSettings:
    """What `dicomroute run` was asked for. `ports` are by NAMESPACE/ROUTE/LISTENER; no `console_port`: no console."""

    paths: Sequence[Path]
    state: Path
    bind: str
    admin_bind: str
    admin_port: int
    ports: Mapping[str, int]
    log_level: str
    console_port: int | None = None


@dataclass
class _Gateway:
    """The gateway of one route: its process, and what it said when it was ready."""

    key: Key
    state: RouteState
    admin_port: int
    process: asyncio.subprocess.Process | None = None
    event: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    restart_at: float = 0.0

    @property
    def name(self) -> str:
        return "/".join(self.key)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None


async def run(settings: RunSettings) -> int:
    """Run every route until SIGTERM or SIGINT; return the exit code. Raises Failure."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = _Supervisor(settings)
    running = asyncio.create_task(supervisor.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when="FIRST_COMPLETED")
        if running.done():
            running.result()
        return 0
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await supervisor.stop()


class _Supervisor:
    """Follows the manifests: a gateway a route, restarted when it ends by itself."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._gateways: dict[Key, _Gateway] = {}
        self._world = ManifestWorld()
        port = settings.console_port
        self._console = ConsoleProcess(settings.state, port) if port is not None else None

    async def run(self) -> None:
        """Start everything, say so, and keep it up; ends by cancellation alone. Raises Failure."""
        settings = self._settings
        seen = taken = _fingerprint(settings.paths)
        self._world = load_world(settings.paths)
        findings = examine(self._world)
        _print(findings)
        errors = sum(one.is_error for one in findings)
        if errors:
            raise Failure(f"{errors} finding{'s' if errors > 1 else ''}: nothing was started", 2)
        if not self._world.routes:
            raise Failure("the manifests have no DicomRoute: add one", 2)
        _check_ports(self._world, settings)
        try:
            lock_state(settings.state)
        except OSError as error:
            raise Failure(f"the state folder {settings.state} cannot be used: {error.strerror or error}", 2) from error
        for offset, key in enumerate(sorted(self._world.routes)):
            gateway = self._add(key, settings.admin_port + offset if settings.admin_port else 0)
            problem = await self._start(gateway)
            if problem:
                raise Failure(problem, 2)
        console = None
        if self._console is not None:
            self._describe()
            await self._console.start()
            console = self._console.announcement()
        print(event_line({one.name: self._announcement(one) for one in self._gateways.values()}, console), flush=True)
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self._restart()
            if self._console is not None:
                await self._console.restart()
            now = _fingerprint(settings.paths)
            # Twice the same: an editor may still be writing.
            if now == seen != taken:
                taken = now
                await self._follow()
            seen = now

    async def stop(self) -> None:
        """Let every gateway drain; one that does not end in its time is ended."""
        if self._console is not None:
            await self._console.stop()
        await asyncio.gather(*(self._stop(gateway) for gateway in self._gateways.values()))

    def _add(self, key: Key, admin_port: int) -> _Gateway:
        gateway = _Gateway(key, route_state(self._settings.state, *key), admin_port)
        self._gateways[key] = gateway
        return gateway

    async def _start(self, gateway: _Gateway) -> str:
        """Start a gateway and wait for what it says; return why it is not ready, or ""."""
        settings = self._settings
        try:
            gateway.state.prepare()
            self._write(gateway)
        except OSError as error:
            return f"the state folder {gateway.state.folder} cannot be used: {error.strerror}"
        listeners = self._world.routes[gateway.key].spec.listeners
        replaced = {one.name: settings.ports.get(f"{gateway.name}/{one.name}") for one in listeners}
        gateway.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dicomroute_gateway",
            f"--configuration={gateway.state.configuration}",
            f"--secrets={gateway.state.secrets}",
            f"--spool={gateway.state.spool}",
            f"--admin-token={gateway.state.admin_token}",
            f"--bind={settings.bind}",
            f"--admin-bind={settings.admin_bind}",
            f"--admin-port={gateway.admin_port}",
            f"--tls-certificate={gateway.state.admin_certificate}",
            f"--tls-key={gateway.state.admin_key}",
            f"--log-level={settings.log_level}",
            f"--parent={os.getpid()}",
            *(f"--listen={name}={port}" for name, port in replaced.items() if port is not None),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert gateway.process.stdout is not None
        line = await gateway.process.stdout.readline()
        if not line:
            code = await gateway.process.wait()
            return f"the gateway of {gateway.name} exited with code {code} before it was ready; its log says why"
        gateway.event = json.loads(line)
        gateway.admin_port = gateway.event["admin"]
        write_address(gateway.state, settings.admin_bind, gateway.admin_port)
        if gateway.event["event"] == "ready":
            return ""
        problems = "; ".join(
            f"{section}: {reason}: {message}" for section, reason, message in gateway.event["problems"]
        )
        return f"the gateway of {gateway.name} is not ready: {problems}"

    async def _restart(self) -> None:
        """Start gateways again that have ended by themselves, later each time they do."""
        now = time.monotonic()
        for gateway in self._gateways.values():
            if gateway.is_running:
                continue
            if not gateway.restart_at:
                code = gateway.process.returncode if gateway.process else None
                wait = _RESTART_SECONDS[min(gateway.failures, len(_RESTART_SECONDS) - 1)]
                gateway.failures, gateway.restart_at = gateway.failures + 1, now + wait
                print_error(f"the gateway of {gateway.name} exited with code {code}; it is restarted in {wait} s")
            elif now >= gateway.restart_at:
                gateway.restart_at = 0.0
                problem = await self._start(gateway)
                print_error(problem or f"the gateway of {gateway.name} is ready again")

    async def _follow(self) -> None:
        """Take changed manifests over; with an error in one of them, everything goes on as it is."""
        changed = load_world(self._settings.paths)
        findings = examine(changed)
        _print(findings)
        try:
            _check_ports(changed, self._settings)
        except Failure as failure:
            findings.append(ManifestFinding("", "", "", str(failure)))
            print_error(str(failure))
        if any(one.is_error and not one.message.startswith(_MISSING) for one in findings):
            print_error("the changed manifests have errors: the gateways keep their previous configuration")
            return
        self._world = changed
        for key in self._gateways.keys() - changed.routes.keys():
            gateway = self._gateways.pop(key)
            print_error(f"{gateway.name} was removed: its gateway stops, and its spool stays in {gateway.state.folder}")
            await self._stop(gateway)
        for key in sorted(changed.routes):
            if key not in self._gateways:
                gateway = self._add(key, 0)
                problem = await self._start(gateway)
                print_error(problem or f"{gateway.name} was added: {json.dumps(self._announcement(gateway))}")
                continue
            try:
                self._write(self._gateways[key])
            except OSError as error:
                folder = self._gateways[key].state.folder
                print_error(
                    f"{folder}: {error.strerror}: {'/'.join(key)} keeps its previous configuration until the next "
                    "change"
                )
        self._describe()

    def _describe(self) -> None:
        """Write what the console shows."""
        if self._console is None:
            return
        try:
            self._console.write(self._world, {one.name: one.state for one in self._gateways.values()})
        except OSError as error:
            print_error(f"{self._settings.state}: {error.strerror}: the console keeps showing its previous data")

    async def _stop(self, gateway: _Gateway) -> None:
        process = gateway.process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            route = self._world.routes.get(gateway.key)
            timeout = (route.spec.gateway.drain_timeout_seconds if route else 20) + _GRACE_SECONDS
            try:
                await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                print_error(f"the gateway of {gateway.name} did not stop within {timeout} s and was killed")
                process.kill()
                await process.wait()
        gateway.state.admin_address.unlink(missing_ok=True)

    def _write(self, gateway: _Gateway) -> None:
        """Write what the gateway reads: as the operator would render it, as the kubelet would mount it."""
        inputs = inputs_of(self._world, gateway.key)
        gateway.state.write_secrets(mounted_files(self._world, inputs))
        gateway.state.write_configuration(configuration_text(gateway_configuration(inputs)))

    def _announcement(self, gateway: _Gateway) -> dict[str, str]:
        first = self._world.routes[gateway.key].spec.listeners[0].name
        return {
            "dicom": f"{_host(self._settings.bind)}:{gateway.event['listeners'][first]}",
            "admin": f"{_host(self._settings.admin_bind)}:{gateway.admin_port}",
        }


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _print(findings: Sequence[ManifestFinding]) -> None:
    for finding in findings:
        print_error(f"{'' if finding.is_error else 'warning: '}{finding}")


def _check_ports(world: ManifestWorld, settings: RunSettings) -> None:
    """Raise Failure when two listeners or admin APIs want one port, naming both."""
    taken: dict[int, str] = {}
    known = set()
    for offset, key in enumerate(sorted(world.routes)):
        route = "/".join(key)
        admin = settings.admin_port + offset if settings.admin_port else 0
        if admin > 65535:
            raise Failure(f"--admin-port {settings.admin_port} leaves no port for the admin API of {route}", 2)
        wanted = [(f"the admin API of {route}", admin)]
        for listener in world.routes[key].spec.listeners:
            name = f"{route}/{listener.name}"
            known.add(name)
            wanted.append((f"listener {name}", settings.ports.get(name, listener.port)))
        for what, port in wanted:
            if port and port in taken:
                raise Failure(
                    f"{taken[port]} and {what} both use port {port}: change one of the manifests, or use --port "
                    "NAMESPACE/ROUTE/LISTENER=N or --admin-port N",
                    2,
                )
            taken[port] = what
    for name in settings.ports.keys() - known:
        raise Failure(f"--port {name}: there is no such listener; there are {', '.join(sorted(known))}", 2)


def _fingerprint(paths: Sequence[Path]) -> list[tuple[str, int, int, int]]:
    found = []
    for file in files_of([path for path in paths if path.exists()]):
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return found
