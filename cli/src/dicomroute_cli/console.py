"""The console beside `dicomroute run`: a process of its own, which reads what this one writes for it."""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from dicomroute_operator.api.meta import API_VERSION

from .manifests.world import ManifestWorld
from .output import Failure, print_error
from .state import RouteState, write_private

_RESTART_SECONDS: Final = 5
_GRACE_SECONDS: Final = 8


class ConsoleProcess:
    """The console of one `dicomroute run`: on this machine alone, opened by a token in the state folder."""

    def __init__(self, state: Path, port: int) -> None:
        self._description = state / "console.json"
        self.token_file = state / "console-token"
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._restart_at = 0.0

    @property
    def url(self) -> str:
        """Where it is; the port is known once it was started."""
        return f"http://127.0.0.1:{self._port}/"

    def write(self, world: ManifestWorld, states: Mapping[str, RouteState]) -> None:
        """Write what the console shows; Secrets are not among it. `states` are by NAMESPACE/ROUTE. Raises OSError."""
        resources = [
            {
                "apiVersion": API_VERSION,
                "kind": one.kind,
                "metadata": {"namespace": one.metadata.namespace, "name": one.metadata.name},
                "spec": one.spec.model_dump(by_alias=True, mode="json", exclude_none=True),
            }
            for several in (world.routes, world.nodes, world.targets)
            for one in several.values()
        ]
        gateways = {
            name: {
                "addressFile": str(one.admin_address),
                "tokenFile": str(one.admin_token),
                "certificateFile": str(one.admin_certificate),
            }
            for name, one in states.items()
        }
        write_private(self._description, json.dumps({"resources": resources, "gateways": gateways}))

    async def start(self) -> None:
        """Start it and wait until it listens. Raises Failure."""
        if find_spec("dicomroute_console") is None:
            raise Failure(
                "--console: the package dicomroute-console is not installed: install it, or leave out --console", 2
            )
        if not self.token_file.exists():
            write_private(self.token_file, secrets.token_urlsafe(32) + "\n")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dicomroute_console",
            f"--local={self._description}",
            f"--token-file={self.token_file}",
            f"--port={self._port}",
            f"--parent={os.getpid()}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = (await self._process.stdout.readline()).split()
        if len(said) != 2:
            await self._process.wait()
            raise Failure(
                f"the console does not start on port {self._port}: choose another port with --console-port", 2
            )
        self._port = int(said[1])

    async def restart(self) -> None:
        """Start it again, a while after it has ended by itself."""
        if self._process is None or self._process.returncode is None:
            return
        if not self._restart_at:
            self._restart_at = time.monotonic() + _RESTART_SECONDS
            print_error(f"the console exited with code {self._process.returncode}; it is being restarted")
        elif time.monotonic() >= self._restart_at:
            self._restart_at = 0.0
            try:
                await self.start()
            except Failure as failure:
                print_error(str(failure))

    async def stop(self) -> None:
        """End it."""
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._description.unlink(missing_ok=True)

    def announcement(self) -> dict[str, Any]:
        """Return what `dicomroute run` says of it."""
        return {"url": self.url, "tokenFile": str(self.token_file)}
