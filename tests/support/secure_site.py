"""A gateway of `dicomroute run` whose listener speaks TLS, and devices that call it."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from certificates import Authority
from manifests import Json, ca_bundle, changed, tls_secret
from routes import local_node, local_route, to
from running import Running

NOWHERE = "http://127.0.0.1:9/dicom-web"


class Site:
    """A gateway whose listener speaks TLS, the authorities, and certificates of devices.

    `nodes` may call in place of the local one; with `plain` the listener has no TLS.
    """

    def __init__(
        self, folder: Path, run: Callable[..., Running], *, nodes: Sequence[Json] = (), plain: bool = False, **tls: Any
    ) -> None:
        self.servers, self.devices = Authority(folder / "servers", "servers"), Authority(folder / "devices", "devices")
        self.strangers = Authority(folder / "strangers", "strangers")
        authorities, callers = ca_bundle("callers", self.devices.pem)
        listener = {"certificateRef": {"name": "gateway-tls"}, "clientCABundleRef": callers, **tls}
        self.route = local_route(mode="HoldDeliveries")
        if not plain:
            self.route = changed(self.route, "spec.listeners.0.tls", listener)
        self.running = run(*(nodes or [local_node()]), to(NOWHERE), self.certificate(), authorities, self.route)
        self.port = int(str(self.running.addresses[self.running.route]["dicom"]).rpartition(":")[2])

    def certificate(self) -> Json:
        """Return the Secret with a new certificate, as cert-manager writes it."""
        return tls_secret("gateway-tls", *self.servers.issue("127.0.0.1", "localhost"))

    def words(self, files: tuple[Path, Path]) -> list[str]:
        """Return what DCMTK is told of TLS: a device's certificate, and whom it trusts."""
        return ["+tls", str(files[1]), str(files[0]), "+cf", str(self.servers.file)]

    def context(self, files: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.servers.file))
        if files is not None:
            context.load_cert_chain(*files)
        return context

    def shown(self) -> int:
        """Return the serial number of the certificate that is shown now."""
        context = self.context(self.devices.issue("device"))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            found = connection.getpeercert()
            assert found is not None
            return int(str(found["serialNumber"]), 16)

    def refused(self) -> list[str]:
        return [one["reason"] for one in self.running.get("/api/v1/refused")["callers"]]

    def serves(self) -> bool:
        """Whether a healthy device is served."""
        words = ["echoscu", "-aet", "CT1", "-aec", "CTGATE", *self.words(self.devices.issue("device"))]
        return subprocess.run([*words, "127.0.0.1", str(self.port)], check=False, timeout=60).returncode == 0


def speak(context: ssl.SSLContext, plain: socket.socket) -> None:
    """Shake hands and ask for something; raises OSError where no TLS comes about, which TLS 1.3 tells late."""
    connection = context.wrap_socket(plain, server_hostname="127.0.0.1")
    connection.sendall(b"\1")
    if not connection.recv(1):
        raise ConnectionError
