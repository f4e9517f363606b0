"""What is measured, of which systems by default, and with what."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import instances
import measure
from measure import Sample
from systems import OWN, SYSTEMS, Gateway, Server

ALL = tuple(SYSTEMS)
FAST = tuple(name for name in SYSTEMS if name != "storescp-default")  # 22 instances a second whatever they are


@dataclass(frozen=True, slots=True)
class Setting:
    """What a measurement is given: a folder on the volume under test, how long it may take, and files to send."""

    folder: Path
    seconds: float
    files: list[Path]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the benchmark; `systems` are those that are measured unless others are asked for."""

    name: str
    title: str
    run: Callable[[Server, Setting], Sample]
    systems: tuple[str, ...]
    is_once: bool = False


def _stream(
    make: Callable[[], instances.Template],
    associations: int,
    most: int,
    *,
    warm_up: int = 1,
    other_services: bool = False,
) -> Callable[[Server, Setting], Sample]:
    def run(server: Server, setting: Setting) -> Sample:
        return measure.stream(
            server,
            setting.folder,
            make(),
            associations,
            setting.seconds,
            most,
            warm_up=warm_up,
            other_services=other_services,
        )

    return run


def _memory(server: Server, setting: Setting) -> Sample:
    return measure.memory(server, 1000)


def _passing(server: Server, setting: Setting) -> Sample:
    return measure.passing(server, setting.folder, instances.multi_frame(4096))


def _restart(count: int) -> Callable[[Server, Setting], Sample]:
    def run(server: Server, setting: Setting) -> Sample:
        assert isinstance(server, Gateway)
        return measure.restart(server, setting.folder, instances.small(), count)

    return run


SCENARIOS = {
    one.name: one
    for one in (
        Scenario(
            "many-512k",
            "8 associations, CT of 512 KB",
            _stream(lambda: instances.ct(512), 8, 8000),
            FAST,
        ),
        Scenario("one-512k", "1 association, CT of 512 KB", _stream(lambda: instances.ct(512), 1, 8000), ALL),
        Scenario(
            "one-512k-services",
            "1 association, CT of 512 KB, with Storage Commitment, Query/Retrieve and worklist proposed",
            _stream(lambda: instances.ct(512), 1, 8000, other_services=True),
            (OWN,),
        ),
        Scenario("many-40k", "8 associations, CT of 40 KB", _stream(lambda: instances.ct(128), 8, 40000), FAST),
        Scenario(
            "stock-3k",
            "1 association of storescu as it comes (Nagle on), RT plans of 3 KB",
            lambda server, setting: measure.stock_client(server, setting.files, setting.seconds),
            ALL,
        ),
        Scenario(
            "one-64m",
            "1 association, multi-frame images of 64 MB",
            _stream(lambda: instances.multi_frame(128), 1, 60, warm_up=0),
            FAST,
        ),
        Scenario("one-2g", "1 association, one multi-frame image of 2 GB", _passing, (OWN,)),
        Scenario("memory", "idle, and with 1000 idle associations", _memory, (OWN,)),
    )
}


def restart(count: int) -> Scenario:
    """Return the scenario of a restart with so many spooled instances."""
    return Scenario("restart", f"restart with {count} spooled instances", _restart(count), (OWN,))
