"""Real peers for the integration tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delivering import Start, starting
from gateways import LoneGateway
from manifests import Json
from origin_server import OriginServer
from orthanc import DEBIAN_12, Orthanc, debian_13
from running import Running
from tap import Tap
from weather import ChangingArchive


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    archive = Orthanc(tmp_path / "orthanc")
    yield archive
    archive.stop()


@pytest.fixture(params=["1.10.1", "1.12.7"])
def any_orthanc(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Orthanc]]:
    """Start an archive of each version that is to be had here."""
    started: list[Orthanc] = []

    def start(**options: Any) -> Orthanc:
        installed = DEBIAN_12 if request.param == "1.10.1" else debian_13()
        started.append(Orthanc(tmp_path / f"orthanc-{len(started)}", installed=installed, **options))
        assert started[-1].version.startswith(request.param)
        return started[-1]

    yield start
    for archive in started:
        archive.stop()


@pytest.fixture
def server() -> Iterator[OriginServer]:
    """A server that answers as a test tells it; a module may have one of its own."""
    one = OriginServer()
    yield one
    one.close()


@pytest.fixture
def start(tmp_path: Path, server: OriginServer) -> Iterator[Start]:
    """Start the delivering half of a gateway against the server."""
    with starting(tmp_path, server) as begin:
        yield begin


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `dicomroute run` with manifests; it is stopped at the end."""
    started: list[Running] = []

    def start(*documents: Json, **options: Any) -> Running:
        running = Running(tmp_path / f"run-{len(started)}", documents, **options)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def tap() -> Iterator[Callable[[int], Tap]]:
    taps: list[Tap] = []

    def start(port: int) -> Tap:
        taps.append(Tap(port))
        return taps[-1]

    yield start
    for one in taps:
        one.close()


@pytest.fixture
def lone() -> Iterator[Callable[..., LoneGateway]]:
    """Start a gateway by itself; one that still runs at the end is killed."""
    started: list[LoneGateway] = []

    def start(*arguments: Any, **options: Any) -> LoneGateway:
        started.append(LoneGateway(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def changing() -> Iterator[Callable[..., ChangingArchive]]:
    """Start archives whose weather changes."""
    started: list[ChangingArchive] = []

    def start(**options: Any) -> ChangingArchive:
        started.append(ChangingArchive(**options))
        return started[-1]

    yield start
    for one in started:
        one.close()
