"""The admin API of the gateway that a command is about: where it is, and the credential that it knows."""

import getpass
import os
import ssl
import urllib.parse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from dicomroute_client import blocking
from dicomroute_client.calls import Answer, Call, D
from dicomroute_client.errors import AdminError, Refused

from .output import Failure
from .state import find_token, is_loopback, known_addresses
from .tunnel import open_tunnel, trusting, user_of

TOKEN_FILE_VARIABLE: Final = "DICOMROUTE_ADMIN_TOKEN_FILE"  # noqa: S105  names a file


class AdminClient:
    """The admin API at a base URL."""

    def __init__(
        self, url: str, token: str, tls: ssl.SSLContext | None = None, actor: Callable[[], str] = getpass.getuser
    ) -> None:
        """`actor` says who asks, for the gateway's ledger and log."""
        self._actor = actor
        self._client = blocking.AdminClient(url, token, tls)

    @classmethod
    def at(cls, url: str, token_file: Path | None, state: Path) -> "AdminClient":
        """Return a client of the admin API at an address, with the token of the file that is named, that of the
        environment, or that of the state folder. Raises Failure.

        A gateway of a state folder is known by its certificate: whoever has taken its port is not sent the token.
        """
        try:
            address = urllib.parse.urlsplit(url if "://" in url else f"//{url}")
            port = address.port
        except ValueError as error:
            raise Failure(f"--admin {url}: write HOST:PORT, such as 127.0.0.1:8080", 2) from error
        file = _token_file(url, address.hostname or "", port, token_file, state)
        certificate = file.with_name("admin-tls.crt")
        tls = trusting(certificate.read_text()) if certificate.exists() else None
        if address.scheme == "http" and tls is not None:
            raise Failure(f"--admin {url}: that gateway uses TLS: leave http:// out", 2)
        if address.scheme != "https" and tls is None and not is_loopback(address.hostname or ""):
            raise Failure(f"--admin {url}: the token must not be sent over a network unencrypted: write https://", 2)
        full = url if "://" in url else f"{'http' if tls is None else 'https'}://{url}"
        return cls(full.rstrip("/"), _token_in(file), tls)

    @classmethod
    def of_route(cls, route: str, namespace: str | None, context: str | None) -> "AdminClient":
        """Return a client of the gateway of a route in kubectl's cluster. Raises Failure."""
        tunnel = open_tunnel(route, namespace, context)
        return cls(tunnel.url, tunnel.token, tunnel.tls, partial(user_of, namespace, context))

    def ask(self, call: Call[D]) -> Answer[D]:
        """Return what the gateway answers to a call. Raises Failure."""
        try:
            return self._client.ask(call, "" if call.body is None else self._name())
        except Refused as error:
            raise Failure(str(error)) from error
        except AdminError as error:
            raise Failure(f"{self._client.url} does not answer as a gateway: {error}") from error

    def follow_events(
        self, cursor: str, types: Iterable[str], failed: Callable[[AdminError, float], object]
    ) -> blocking.EventFollower:
        """Return the gateway's events behind a cursor, on and on. Iterating raises AdminError."""
        return blocking.EventFollower(self._client, cursor, types, failed=failed)

    def _name(self) -> str:
        try:
            return self._actor()
        except (OSError, KeyError):  # this machine has no name for the user
            return ""


def _token_file(url: str, host: str, port: int | None, token_file: Path | None, state: Path) -> Path:
    named = token_file or (Path(os.environ[TOKEN_FILE_VARIABLE]) if TOKEN_FILE_VARIABLE in os.environ else None)
    path = named or (find_token(state, host, port) if port else None)
    if path is None:
        known = ", ".join(known_addresses(state)) or "no gateway"
        raise Failure(
            f"no token for {url}: the state folder {state} contains {known}. Is `dicomroute run` running with this "
            f"--state? For another gateway, pass its token file with --token-file or {TOKEN_FILE_VARIABLE}",
            2,
        )
    return path


def _token_in(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Failure(f"the token file {path} cannot be read: {error.strerror}", 2) from error
