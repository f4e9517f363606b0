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
from orthanc import DEBIAN_12, Installed, debian_13
from servers import PEERS, Floor, Gateway, Keeping, Orthanc, RoutingOrthanc, Server, StoreScu


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


def _orthanc(find: Callable[[], Installed] = lambda: DEBIAN_12) -> Callable[[], str]:
    return lambda: machine.first_line(str(find().program), "--version").rpartition(" ")[2]


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
            "floor",
            "the floor: an equally durable loop in Go, without rules, limits and delivery",
            lambda folder, _: Floor(folder),
            lambda: machine.first_line("go", "version"),
        ),
        System(
            "pynetdicom",
            "pynetdicom, raw bytes, fsync",
            lambda folder, _: Keeping(folder, sys.executable, str(PEERS / "pynetdicom_scp.py")),
            _pynetdicom,
        ),
        System("orthanc", "Orthanc, SyncStorageArea", lambda folder, _: Orthanc(folder, DEBIAN_12), _orthanc()),
        System(
            "orthanc-newer",
            "newer Orthanc, SyncStorageArea",
            lambda folder, _: Orthanc(folder, debian_13()),
            _orthanc(debian_13),
        ),
        System(
            "orthanc-unsafe",
            "Orthanc without SyncStorageArea",
            lambda folder, _: Orthanc(folder, DEBIAN_12, sync=False),
            _orthanc(),
            is_durable=False,
        ),
        System("storescp-nodelay", "storescp, TCP_NODELAY", _storescp("storescp-nodelay"), _dcmtk, is_durable=False),
        System("storescp-default", "storescp, as it comes", _storescp("storescp-default"), _dcmtk, is_durable=False),
        System(
            "orthanc-dicomweb",
            "Orthanc, routing by DICOMweb",
            lambda folder, destination: RoutingOrthanc(folder, DEBIAN_12, destination),
            _orthanc(),
        ),
        System(
            "orthanc-dicomweb-newer",
            "newer Orthanc, routing by DICOMweb",
            lambda folder, destination: RoutingOrthanc(folder, debian_13(), destination),
            _orthanc(debian_13),
        ),
        System(
            "pynetdicom-scu", "pynetdicom, sending files", lambda _, destination: StoreScu(destination), _pynetdicom
        ),
    )
}
