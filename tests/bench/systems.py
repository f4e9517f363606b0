"""The systems that are measured, by name."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import machine
import pydicom
import pynetdicom
from destinations import Destination
from servers import PEERS, Gateway, Keeping, Orthanc, RoutingOrthanc, Server, StoreScu


@dataclass(frozen=True, slots=True)
class System:
    """A system that can be measured; one that is not durable is shown, and not compared with.

    It is started in a folder, and given what it delivers to if the scenario is one of delivering.
    """

    name: str
    title: str
    start: Callable[[Path, Destination | None], Server]
    version: Callable[[], str]
    is_durable: bool = True


def _of_this_checkout() -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        ["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _dcmtk() -> str:
    return machine.first_line("storescp", "--version").partition(" v")[2]


def _orthanc() -> str:
    return machine.first_line("Orthanc", "--version").partition(" ")[2]


def _pynetdicom() -> str:
    return f"{pynetdicom.__version__} with pydicom {pydicom.__version__}"


def _storescp(name: str) -> Callable[[Path, Destination | None], Server]:
    return lambda folder, _: Keeping(folder, str(PEERS / name))


OWN = "dicomroute"
SYSTEMS = {
    one.name: one
    for one in (
        System(OWN, "dicomroute", Gateway, _of_this_checkout),
        System(
            "pynetdicom",
            "pynetdicom, raw bytes, fsync",
            lambda folder, _: Keeping(folder, sys.executable, str(PEERS / "pynetdicom_scp.py")),
            _pynetdicom,
        ),
        System("orthanc", "Orthanc, SyncStorageArea", lambda folder, _: Orthanc(folder, sync=True), _orthanc),
        System(
            "orthanc-unsafe",
            "Orthanc without SyncStorageArea",
            lambda folder, _: Orthanc(folder, sync=False),
            _orthanc,
            is_durable=False,
        ),
        System("storescp-nodelay", "storescp, TCP_NODELAY", _storescp("storescp-nodelay"), _dcmtk, is_durable=False),
        System("storescp-default", "storescp, as it comes", _storescp("storescp-default"), _dcmtk, is_durable=False),
        System("orthanc-dicomweb", "Orthanc, routing by DICOMweb", RoutingOrthanc, _orthanc),
        System(
            "pynetdicom-scu", "pynetdicom, sending files", lambda _, destination: StoreScu(destination), _pynetdicom
        ),
    )
}
