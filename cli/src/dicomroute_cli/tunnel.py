"""The way to a gateway in a cluster: kubectl's context, a forwarded port, and the credential from its Secret."""

import atexit
import base64
import binascii
import json
import ssl
import subprocess
from dataclasses import dataclass
from typing import Final

from .kubectl import kubectl
from .output import Failure

API_PORT: Final = 8443


@dataclass(frozen=True)
class Tunnel:
    """An open way to an admin API: its URL, its token, and the TLS context that knows its certificate."""

    url: str
    token: str
    tls: ssl.SSLContext


def open_tunnel(route: str, namespace: str | None, context: str | None) -> Tunnel:
    """Open a way to the gateway of a route; it is closed when the process ends.

    Needs what the caller's own kubectl has: the right to read the Secret and to forward ports. Raises Failure.
    """
    command = kubectl(namespace, context, "name the gateway's address with --admin")
    token, certificate = _credential(command, route)
    return Tunnel(f"https://127.0.0.1:{_forward(command, route)}", token, trusting(certificate))


def user_of(namespace: str | None, context: str | None) -> str:
    """Return as whom kubectl acts, "" where the cluster does not say: it has said so since Kubernetes 1.28."""
    command = [*kubectl(namespace, context, ""), "auth", "whoami", "--output", "jsonpath={.status.userInfo.username}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def trusting(certificate: str) -> ssl.SSLContext:
    """Return what trusts one certificate, in PEM, and nothing else: it is the certificate that counts, not its name."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(cadata=certificate)
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return tls


def _credential(command: list[str], route: str) -> tuple[str, str]:
    name = f"{route}-gw-admin"
    done = subprocess.run(
        [*command, "get", "secret", name, "--output", "json"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise Failure(f"the credential of route {route} cannot be read: {done.stderr.strip()}")
    try:
        data = json.loads(done.stdout)["data"]
        return (base64.b64decode(data["token"]).decode(), base64.b64decode(data["tls.crt"]).decode())
    except (ValueError, KeyError, binascii.Error) as error:
        raise Failure(f"the Secret {name} was not created by the operator: {error}") from error


def _forward(kubectl_command: list[str], route: str) -> int:
    """Forward a port of this machine to the gateway's admin API and return it."""
    command = [*kubectl_command, "port-forward", "--address", "127.0.0.1", f"pod/{route}-gw-0", f":{API_PORT}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    atexit.register(process.terminate)
    assert process.stdout is not None
    line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 8443
    port = line.rpartition(" -> ")[0].rpartition(":")[2]
    if not port.isdecimal():
        _, errors = process.communicate()
        raise Failure(f"cannot reach the gateway of route {route}: {errors.strip() or line.strip()}")
    return int(port)
