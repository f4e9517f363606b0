"""The state folder of `dicomroute run`: where each route's gateway finds its configuration, Secrets and spool."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from dicomroute_operator.gateways.credential import admin_credential


@dataclass(frozen=True)
class RouteState:
    """The folder of one route: STATE/NAMESPACE/ROUTE."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """The gateway's configuration."""
        return self.folder / "configuration.json"

    @property
    def secrets(self) -> Path:
        """The folder of the Secrets, as a gateway's pod has them: SECRET/KEY."""
        return self.folder / "secrets"

    @property
    def spool(self) -> Path:
        """The spool."""
        return self.folder / "spool"

    @property
    def admin_token(self) -> Path:
        """The token of the admin API, readable by its owner alone."""
        return self.folder / "admin-token"

    @property
    def admin_certificate(self) -> Path:
        """The certificate of the admin API: whoever sends it the token looks for this one first."""
        return self.folder / "admin-tls.crt"

    @property
    def admin_key(self) -> Path:
        """The key of that certificate, readable by its owner alone."""
        return self.folder / "admin-tls.key"

    @property
    def admin_address(self) -> Path:
        """Where the admin API listened when the gateway last started: HOST:PORT."""
        return self.folder / "admin-address"

    def prepare(self) -> None:
        """Make the folder, the token and the certificate, unless they are there. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.admin_token.exists():
            write_private(self.admin_token, secrets.token_hex(32) + "\n")
        if not self.admin_certificate.exists():
            made = admin_credential("local", secrets.token_bytes(32))
            write_private(self.admin_key, made.key)
            write_private(self.admin_certificate, made.certificate)

    def write_configuration(self, text: str) -> None:
        """Replace the configuration in one step, if it differs."""
        if not self.configuration.exists() or self.configuration.read_text() != text:
            write_private(self.configuration, text)

    def write_secrets(self, wanted: Mapping[str, Mapping[str, bytes]]) -> None:
        """Make the folder of Secrets hold exactly what is wanted, each file replaced in one step."""
        for name, values in wanted.items():
            folder = self.secrets / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for key, value in values.items():
                path = folder / key
                if not path.exists() or path.read_bytes() != value:
                    write_private(path, value)
        if self.secrets.is_dir():
            for file in self.secrets.glob("*/*"):
                if file.name not in wanted.get(file.parent.name, {}):
                    file.unlink()


def route_state(state: Path, namespace: str, route: str) -> RouteState:
    """Return the state of a route."""
    return RouteState(state / namespace / route)


def find_token(state: Path, host: str, port: int) -> Path | None:
    """Return the token of the gateway whose admin API listens at a port of this machine, started from this state."""
    for file in state.glob("*/*/admin-address"):
        bound, _, number = file.read_text().strip().rpartition(":")
        if number == str(port) and (bound.strip("[]") in (host, "0.0.0.0", "::") or is_loopback(host)):
            return file.parent / "admin-token"
    return None


def known_addresses(state: Path) -> list[str]:
    """Return where the gateways of a state folder listened when they last started: NAMESPACE/ROUTE at HOST:PORT."""
    files = sorted(state.glob("*/*/admin-address"))
    return [f"{file.parent.parent.name}/{file.parent.name} at {file.read_text().strip()}" for file in files]


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its loopback addresses or name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file that its owner alone can read, so that it is there completely or not at all."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


def write_address(state: RouteState, bind: str, port: int) -> None:
    """Note where the admin API listens, so that `dicomroute queue` finds its token."""
    write_private(state.admin_address, f"[{bind}]:{port}\n" if ":" in bind else f"{bind}:{port}\n")


def event_line(routes: Mapping[str, Mapping[str, str]], console: Mapping[str, str] | None = None) -> str:
    """Return the line that says that every listener of every route listens, and where the console is, if there is."""
    return json.dumps({"event": "ready", "routes": routes, **({"console": console} if console else {})})
