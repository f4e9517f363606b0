"""A real Keycloak with the realm of tests/keycloak/realm.json, and the clients that a test makes in it."""

import itertools
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from certificates import Authority
from ports import free_port
from processes import Process

STORING: Final = "dicom.store"
"""The scope that a client may ask for."""
_BUILD: Final = Path(__file__).parents[1] / "keycloak" / "build"
_ADMINISTRATOR: Final = {"client_id": "tests", "client_secret": "an-example-of-a-secret"}
_NUMBERS: Final = itertools.count(1)
_START_SECONDS: Final = 200
"""Ten on a machine with nothing else to do."""
_OPENED: Final = (
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.security",
    "java.base/java.lang",
)
_QUARKUS: Final = "io.quarkus.bootstrap"


class Keycloak:
    """Speaks HTTPS with a certificate of an authority of its own, and keeps what it has over restarts."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", names: tuple[str, ...] = ("127.0.0.1",)) -> None:
        self.authority = Authority(folder / "authority", "identity")
        self._certificate, self._key = self.authority.issue(*dict.fromkeys((*names, host)))
        self._trusting = ssl.create_default_context(cafile=str(self.authority.file))
        self._host, self.port = host, free_port()
        self._name = names[0]
        self._log = folder / "keycloak.log"
        self._home = folder / "home"
        built = Path(subprocess.run([_BUILD], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        self._home.mkdir()
        for part in ("conf", "lib", "providers", "themes"):
            (self._home / part).symlink_to(built / part)
        shutil.copytree(built / "data", self._home / "data")
        self._process: Process | None = None
        self.start()

    @property
    def token_url(self) -> str:
        return f"https://{self._name}:{self.port}/realms/imaging/protocol/openid-connect/token"

    @property
    def issuer(self) -> str:
        """What its tokens say who it is."""
        return f"https://{self._name}:{self.port}/realms/imaging"

    @property
    def keys_url(self) -> str:
        """Where it publishes the keys that tokens are verified by."""
        return f"https://{self._host}:{self.port}/realms/imaging/protocol/openid-connect/certs"

    def start(self) -> None:
        """Start it as its own script does, but in one process that compiles and collects little while it starts."""
        command = [
            "java",
            "-Xms256m",
            "-Xmx256m",
            "-Xmn160m",
            "-XX:MetaspaceSize=160m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *(f"--add-opens={one}=ALL-UNNAMED" for one in _OPENED),
            f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_QUARKUS}.forkjoin.QuarkusForkJoinWorkerThreadFactory",
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
            f"-Dkc.home.dir={self._home}",
            f"-Djboss.server.config.dir={self._home / 'conf'}",
            "-cp",
            str(self._home / "lib" / "quarkus-run.jar"),
            f"{_QUARKUS}.runner.QuarkusEntryPoint",
            "start",
            "--optimized",
            "--cache=local",
            "--hostname-strict=false",
            f"--http-host={self._host}",
            f"--https-port={self.port}",
            f"--https-certificate-file={self._certificate}",
            f"--https-certificate-key-file={self._key}",
        ]
        self._process = Process(command, self._log)
        self._process.wait_until(self._answers, "Keycloak does not answer", _START_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(60)
            self._process = None

    def client(self, secret: str, *, lifetime_seconds: int = 8, scopes: tuple[str, ...] = (STORING,)) -> "Client":
        """Make a client that may ask for tokens with these scopes, which live so long."""
        return Client(self, secret, lifetime_seconds, scopes)

    def token(self, form: dict[str, str]) -> str:
        """Return a token for who says so."""
        request = urllib.request.Request(
            f"https://{self._host}:{self.port}/realms/imaging/protocol/openid-connect/token",
            urlencode({"grant_type": "client_credentials", **form}).encode(),
        )
        with urllib.request.urlopen(request, timeout=60, context=self._trusting) as response:
            return str(json.loads(response.read())["access_token"])

    def administer(self, method: str, path: str, document: Any = None) -> Any:
        """Make a request to the admin API of the realm; return its answer, or where it put what it made."""
        request = urllib.request.Request(
            f"https://{self._host}:{self.port}/admin/realms/imaging{path}",
            None if document is None else json.dumps(document).encode(),
            {"Authorization": f"Bearer {self.token(_ADMINISTRATOR)}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60, context=self._trusting) as response:
            content = response.read()
            return json.loads(content) if content else response.headers.get("Location", "")

    def _answers(self) -> bool:
        url = f"https://{self._host}:{self.port}/realms/imaging"
        try:
            with urllib.request.urlopen(url, timeout=60, context=self._trusting):
                return True
        except OSError:
            return False


class Client:
    """A confidential client with the client credentials grant (RFC 6749 4.4)."""

    def __init__(self, keycloak: Keycloak, secret: str, lifetime_seconds: int, scopes: tuple[str, ...]) -> None:
        self.name = f"gateway-{next(_NUMBERS)}"
        self.secret = secret
        self._keycloak = keycloak
        document = {
            "clientId": self.name,
            "secret": secret,
            "publicClient": False,
            "standardFlowEnabled": False,
            "serviceAccountsEnabled": True,
            "defaultClientScopes": ["basic"],
            "optionalClientScopes": list(scopes),
            "attributes": {"access.token.lifespan": str(lifetime_seconds)},
        }
        self._path = f"/clients/{keycloak.administer('POST', '/clients', document).rpartition('/')[2]}"

    def rotate(self, secret: str) -> None:
        """Give it another secret: the old one is refused from now on; tokens live on."""
        self._change(secret=secret)
        self.secret = secret

    def disable(self) -> None:
        """Let it have no more tokens."""
        self._change(enabled=False)

    def enable(self) -> None:
        self._change(enabled=True)

    def token(self, scope: str = "") -> str:
        """Return a token for it."""
        form = {"client_id": self.name, "client_secret": self.secret}
        return self._keycloak.token({**form, "scope": scope} if scope else form)

    def _change(self, **fields: Any) -> None:
        self._keycloak.administer("PUT", self._path, {**self._keycloak.administer("GET", self._path), **fields})
