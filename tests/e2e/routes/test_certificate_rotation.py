"""A listener's certificate is renewed while a device sends, and a device gets another one: nothing is restarted."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
from certificates import Authority
from corpus import make_corpus
from manifests import Json, ca_bundle, changed, node, tls_secret
from pynetdicom import AE
from pynetdicom.association import Association
from routes import PACS

from cluster import Namespace

NAME = "gateway.hospital.example"


class Device:
    """A device that encrypts, with a certificate of its own."""

    def __init__(self, endpoint: tuple[str, int], authority: Authority, files: tuple[Path, Path]) -> None:
        self._endpoint = endpoint
        self._context = ssl.create_default_context(cafile=str(authority.file))
        self._context.load_cert_chain(*files)
        self.statuses: list[int | None] = []

    def associate(self, dataset: pydicom.Dataset) -> Association:
        entity = AE(ae_title="CT1")
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        return entity.associate(*self._endpoint, ae_title="CTGATE", tls_args=(self._context, NAME))

    def send(self, files: list[Path], pause: float) -> None:
        """Send in one association."""
        datasets = [pydicom.dcmread(file) for file in files]
        association = self.associate(datasets[0])
        for dataset in datasets:
            self.statuses.append(association.send_c_store(dataset).get("Status"))
            time.sleep(pause)
        association.release()

    def shown(self) -> int:
        """Return the serial number of the certificate that it is shown."""
        with (
            socket.create_connection(self._endpoint, timeout=20) as plain,
            self._context.wrap_socket(plain, server_hostname=NAME) as connection,
        ):
            found = connection.getpeercert()
            assert found is not None
            return int(str(found["serialNumber"]), 16)


def test_certificates_change_while_a_device_sends(
    namespace: Namespace, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    servers, devices = Authority(tmp_path / "servers", "servers"), Authority(tmp_path / "devices", "devices")
    bundle, callers = ca_bundle("callers", devices.pem)
    scanner = node(aeTitle="CT1", anyAddress=True, certificates=[{"dnsName": "ct-1.example"}])
    route = changed(
        small_route(rules=[{"name": "everything", "destinations": [PACS]}], mode="HoldDeliveries"),
        "spec.listeners.0.tls",
        {"certificateRef": {"name": "gateway-tls"}, "clientCABundleRef": callers},
    )
    pacs = changed(node(aeTitle="PACS", host="192.0.2.1", connectionTestSeconds=0), "metadata", {"name": "pacs"})
    namespace.apply(scanner, pacs, bundle, tls_secret("gateway-tls", *servers.issue(NAME)), route)
    namespace.wait_ready()
    before = namespace.pod()
    device = Device(namespace.endpoint(), servers, devices.issue("ct-1.example"))
    old = device.shown()
    files = make_corpus(tmp_path / "study", 60, ("CT_small.dcm",))
    sending = threading.Thread(target=device.send, args=(files, 0.3))
    sending.start()
    namespace.wait(lambda: len(device.statuses) > 5, "nothing is sent")
    namespace.apply(tls_secret("gateway-tls", *servers.issue(NAME)))
    # The kubelet mounts a changed Secret when it next looks at the pod: a minute later, or when that changes.
    namespace.kubectl("annotate", "pod", "ct-to-cloud-gw-0", "example.com/look=now")
    namespace.wait(lambda: device.shown() != old, "the old certificate is shown", 60)
    sending.join()
    assert device.statuses == [0] * len(files)
    other = Device(namespace.endpoint(), servers, devices.issue("mr-1.example"))
    assert other.associate(pydicom.dcmread(files[0])).is_rejected
    namespace.apply(changed(scanner, "spec.certificates", [{"dnsName": "mr-1.example"}]))
    namespace.wait(lambda: _is_let_in(other, files[0]), "the device's new certificate is not known", 60)
    assert device.associate(pydicom.dcmread(files[0])).is_rejected
    after = namespace.pod()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def _is_let_in(device: Device, file: Path) -> bool:
    association = device.associate(pydicom.dcmread(file))
    if not association.is_established:
        return False
    association.release()
    return True
