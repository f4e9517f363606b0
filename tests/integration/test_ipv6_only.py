"""Where there is IPv6 alone, as in clusters without IPv4: receiving, delivering, and the operator's way in."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import FILES, data_set_bytes
from gateways import LoneGateway
from ipv6_network import IPv6Network
from manifests import changed, node, route, target
from ports import free_port
from processes import wait_until
from pydicom import dcmread
from pynetdicom import AE, evt
from sink import Sink, digest

from dicomroute_client.documents.status import StatusDocument
from dicomroute_operator.gateways.ask import ask_all
from dicomroute_operator.gateways.credential import access, admin_credential
from dicomroute_operator.render import names

SCANNER, STRANGER = "2001:db8:0:1::130", "2001:db8:0:2::131"
GATEWAY, ARCHIVE, PACS = "2001:db8::1", "2001:db8::2", "2001:db8::3"
KEY, UID = os.urandom(32), "6f1c7f0e-0000-4000-8000-000000000006"
FILE = FILES / "CT_small.dcm"
CT = dcmread(FILE)
DATA_SET = digest(data_set_bytes(FILE.read_bytes()))


@pytest.fixture
def network() -> Iterator[IPv6Network]:
    one = IPv6Network([SCANNER, STRANGER, GATEWAY, ARCHIVE, PACS])
    yield one
    one.remove()


@pytest.fixture
def archive(network: IPv6Network) -> Iterator[Sink]:
    one = network.run(lambda: Sink(host=ARCHIVE))
    yield one
    one.close()


class Pacs:
    """A storage SCP in the network."""

    def __init__(self, network: IPv6Network) -> None:
        self.port, self.stored = free_port(), list[str]()
        entity = AE("PACS")
        entity.add_supported_context(CT.SOPClassUID, CT.file_meta.TransferSyntaxUID)
        entity.add_supported_context("1.2.840.10008.1.1")
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = network.run(lambda: entity.start_server((PACS, self.port), block=False, evt_handlers=handlers))

    def _store(self, event: evt.Event) -> int:
        self.stored.append(digest(event.request.DataSet.getvalue()))
        return 0


@pytest.fixture
def pacs(network: IPv6Network) -> Iterator[Pacs]:
    one = Pacs(network)
    yield one
    one.server.shutdown()


@pytest.fixture
def gateway(network: IPv6Network, archive: Sink, pacs: Pacs, tmp_path: Path) -> Iterator[LoneGateway]:
    """A gateway as pods start it, with the admin API where the operator asks."""
    scanner = node(aeTitle="CT1", allowedSources=["2001:db8:0:1::/64"])
    far = changed(node(aeTitle="PACS", host=PACS, port=pacs.port), "metadata.name", "pacs")
    destinations = [{"kind": "CloudTarget", "name": "archive"}, {"kind": "DicomNode", "name": "pacs"}]
    one = route(rules=[{"name": "everything", "destinations": destinations}], retry={"maxBackoffSeconds": 1})
    one["spec"]["gateway"] = {"spool": {"size": "1Gi"}}
    credential = admin_credential(UID, KEY)
    for name in ("token", "certificate", "key"):
        (tmp_path / f"admin.{name}").write_text(getattr(credential, name))
    started = LoneGateway(
        tmp_path,
        [scanner, far, target(url=archive.url), one],
        prefix=network.prefix,
        further=[
            "--bind=",
            f"--admin-port={names.API_PORT}",
            f"--admin-token={tmp_path / 'admin.token'}",
            f"--tls-certificate={tmp_path / 'admin.certificate'}",
            f"--tls-key={tmp_path / 'admin.key'}",
        ],
        wait=False,
    )
    started.process.wait_until(lambda: (found := told(network)) is not None and found.ready, "the gateway is not ready")
    yield started
    started.kill()


def told(network: IPv6Network) -> StatusDocument | None:
    """Return what the operator is told by the gateway at its pod's address; None while it does not answer."""

    async def ask() -> StatusDocument | None:
        async for _, answer in ask_all({"pod": (GATEWAY, access(UID, KEY))}, 1):
            return answer if isinstance(answer, StatusDocument) else None
        return None

    return network.run(lambda: asyncio.run(ask()))


def store(network: IPv6Network, gateway: LoneGateway, source: str) -> int | None:
    """Send one instance from an address; return the status of its answer, None where the association was rejected."""

    def send() -> int | None:
        entity = AE("CT1")
        entity.add_requested_context(CT.SOPClassUID, CT.file_meta.TransferSyntaxUID)
        association = entity.associate(GATEWAY, gateway.port, ae_title="CTGATE", bind_address=(source, 0))
        if not association.is_established:
            return None
        status: int = association.send_c_store(CT).Status
        association.release()
        return status

    return network.run(send)


def test_an_instance_comes_and_goes_by_ipv6(
    network: IPv6Network, gateway: LoneGateway, archive: Sink, pacs: Pacs
) -> None:
    with pytest.raises(OSError, match=r"unreachable|Cannot assign"):
        network.run(lambda: socket.create_connection(("127.0.0.1", gateway.port), timeout=5))
    assert store(network, gateway, SCANNER) == 0
    gateway.process.wait_until(lambda: bool(archive.stored and pacs.stored), "it does not arrive")
    assert archive.stored == {CT.SOPInstanceUID: [DATA_SET]}
    assert pacs.stored == [DATA_SET]

    def is_counted() -> bool:
        found = told(network)
        return found is not None and (found.instances.owed, found.instances.delivered_total) == (0, 1)

    wait_until(is_counted, "the operator is not told that it arrived")


def test_a_caller_of_another_network_is_rejected(network: IPv6Network, gateway: LoneGateway) -> None:
    assert store(network, gateway, STRANGER) is None
    found = told(network)
    assert found is not None
    assert found.instances.received_total == 0
