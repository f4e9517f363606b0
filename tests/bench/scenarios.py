"""What is measured, of which systems by default, and with what."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import instances
import measure
import query_retrieve
from destinations import Destination, Storescp, StowSink, lacks_authority, lacks_store_scu
from measure import Sample
from servers import Gateway, Orthanc, Server, StoreScu
from systems import OWN, SYSTEMS

SENDING = ("orthanc-dicomweb", "orthanc-dicomweb-newer", "pynetdicom-scu")
ALL = tuple(name for name in SYSTEMS if name not in SENDING)
ROUTING = (OWN, "orthanc-dicomweb", "orthanc-dicomweb-newer")
RETRIEVED = (OWN, "orthanc", "orthanc-newer")
FILES_A_SECOND = 200
SPOOLED_A_SECOND = 1000
SLOW_SECONDS = 0.1
BURST_SECONDS = 600.0
"""More than any system takes."""
FAST = tuple(name for name in ALL if name != "storescp-default")  # 22 instances a second whatever they are


@dataclass(frozen=True, slots=True)
class Setting:
    """What a measurement is given: a folder on the volume under test, how long it may take, files to send, and what is
    delivered to, where something is.
    """

    folder: Path
    seconds: float
    files: list[Path]
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the benchmark; `systems` are those that are measured unless others are asked for.

    `start_destination` makes what a scenario of delivering delivers to, afresh for each figure; `own_lack` says what
    this gateway cannot do yet, so that it is left out.
    """

    name: str
    title: str
    run: Callable[[Server, Setting], Sample]
    systems: tuple[str, ...]
    start_destination: Callable[[Path], Destination] | None = None
    own_lack: Callable[[], str] = lambda: ""


def _stream(
    make: Callable[[], instances.Template],
    associations: int,
    most: int,
    *,
    warm_up: int = 1,
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
        )

    return run


def _burst(
    make: Callable[[], instances.Template], associations: int, count: int
) -> Callable[[Server, Setting], Sample]:
    """So many and no more: what a study takes that comes to a system that did nothing before."""

    def run(server: Server, setting: Setting) -> Sample:
        return measure.stream(server, setting.folder, make(), associations, BURST_SECONDS, count)

    return run


def _forward(make: Callable[[], instances.Template], most: int) -> Callable[[Server, Setting], Sample]:
    def run(server: Server, setting: Setting) -> Sample:
        assert setting.destination
        if isinstance(server, StoreScu):
            count = int(FILES_A_SECOND * setting.seconds)
            return measure.send_files(
                server, setting.folder, make(), setting.seconds, min(most, count), setting.destination
            )
        return measure.stream(server, setting.folder, make(), 8, setting.seconds, most, destination=setting.destination)

    return run


def _backlog(server: Server, setting: Setting) -> Sample:
    assert isinstance(server, Gateway)
    assert setting.destination
    count = int(SPOOLED_A_SECOND * setting.seconds)
    return measure.backlog(server, setting.folder, instances.small(), count, setting.destination)


def _tls(server: Server, setting: Setting) -> Sample:
    assert isinstance(server, Gateway)
    tls = measure.Tls(server.tls_port, server.authority)
    return measure.by_turns(server, setting.folder, instances.ct(512), 8, setting.seconds, 8000, tls=tls)


def _crowded(server: Server, setting: Setting) -> Sample:
    assert isinstance(server, Gateway)
    tls = measure.Tls(server.tls_port, server.authority)
    return measure.crowded(server, setting.folder, instances.ct(512), setting.seconds, 8000, 1000, tls)


def _memory(server: Server, setting: Setting) -> Sample:
    return measure.memory(server, 1000)


def _passing(server: Server, setting: Setting) -> Sample:
    return measure.passing(server, setting.folder, instances.multi_frame(4096))


def _move(make: Callable[[], instances.Template], count: int) -> Callable[[Server, Setting], Sample]:
    def run(server: Server, setting: Setting) -> Sample:
        assert isinstance(server, Gateway | Orthanc)
        return query_retrieve.move(server, setting.folder, make(), count)

    return run


def _find(studies: int) -> Callable[[Server, Setting], Sample]:
    def run(server: Server, setting: Setting) -> Sample:
        assert isinstance(server, Gateway | Orthanc)
        return query_retrieve.find(server, setting.folder, instances.small(), studies)

    return run


def _beside(server: Server, setting: Setting) -> Sample:
    assert isinstance(server, Gateway)
    ct = instances.ct(512)
    return query_retrieve.beside(server, setting.folder, ct, setting.seconds, 8000, retrievals=4, a_second=20)


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
        Scenario(
            "burst-512k",
            "400 CT of 512 KB over 8 associations, after a start",
            _burst(lambda: instances.ct(512), 8, 400),
            FAST,
        ),
        Scenario("one-512k", "1 association, CT of 512 KB", _stream(lambda: instances.ct(512), 1, 8000), ALL),
        Scenario(
            "one-512k-services",
            "1 association, CT of 512 KB, with Storage Commitment, Query/Retrieve and worklist proposed",
            lambda server, setting: measure.by_turns(
                server, setting.folder, instances.ct(512), 1, setting.seconds, 8000, other_services=True
            ),
            (OWN,),
        ),
        Scenario(
            "many-512k-tls",
            "8 associations, CT of 512 KB, over TLS",
            _tls,
            (OWN,),
        ),
        Scenario(
            "crowded-512k-tls",
            "1 association, CT of 512 KB, over TLS beside 1000 connections that never finish a handshake",
            _crowded,
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
        Scenario(
            "forward-512k",
            "8 associations, CT of 512 KB, on to an archive by STOW-RS",
            _forward(lambda: instances.ct(512), 8000),
            ROUTING,
            StowSink,
        ),
        Scenario(
            "forward-512k-tls",
            "8 associations, CT of 512 KB, on to an archive by STOW-RS over TLS",
            _forward(lambda: instances.ct(512), 8000),
            ROUTING,
            lambda folder: StowSink(folder, tls=True),
            lacks_authority,
        ),
        Scenario(
            "forward-512k-slow",
            "8 associations, CT of 512 KB, on to an archive that answers after 100 ms",
            _forward(lambda: instances.ct(512), 8000),
            ROUTING,
            lambda folder: StowSink(folder, delay_seconds=SLOW_SECONDS),
        ),
        Scenario(
            "forward-3k-slow",
            "8 associations, images of 3 KB, on to an archive that answers after 100 ms",
            _forward(instances.small, 40000),
            ROUTING,
            lambda folder: StowSink(folder, delay_seconds=SLOW_SECONDS),
        ),
        Scenario(
            "backlog-3k-slow",
            "what is spooled, images of 3 KB, to an archive that answers after 100 ms",
            _backlog,
            (OWN,),
            lambda folder: StowSink(folder, delay_seconds=SLOW_SECONDS),
        ),
        Scenario(
            "cstore-forward-512k",
            "CT of 512 KB, by C-STORE to storescp as it comes",
            _forward(lambda: instances.ct(512), 8000),
            (OWN, "pynetdicom-scu"),
            Storescp,
            lacks_store_scu,
        ),
        Scenario(
            "cstore-forward-512k-tls",
            "CT of 512 KB, by C-STORE over TLS to storescp as it comes",
            _forward(lambda: instances.ct(512), 8000),
            (OWN,),
            lambda folder: Storescp(folder, tls=True),
            lacks_store_scu,
        ),
        Scenario(
            "cstore-forward-3k",
            "images of 3 KB, by C-STORE to storescp as it comes",
            _forward(instances.small, 40000),
            (OWN, "pynetdicom-scu"),
            Storescp,
            lacks_store_scu,
        ),
        Scenario(
            "move-512k",
            "C-MOVE of 1000 CT of 512 KB to storescp with TCP_NODELAY",
            _move(lambda: instances.ct(512), 1000),
            RETRIEVED,
        ),
        Scenario(
            "move-2g",
            "C-MOVE of one multi-frame image of 2 GB",
            _move(lambda: instances.multi_frame(4096), 1),
            (OWN,),
        ),
        Scenario("find-5000", "C-FIND of all of 5000 studies", _find(5000), RETRIEVED),
        Scenario(
            "receive-beside-moves",
            "8 associations, CT of 512 KB, beside four retrievals of 20 CT of 512 KB a second each",
            _beside,
            (OWN,),
        ),
    )
}
RETRIEVING = ("move-512k", "move-2g", "find-5000", "receive-beside-moves")
"""The scenarios of what goes the other way."""


def restart(count: int) -> Scenario:
    """Return the scenario of a restart with so many spooled instances."""
    return Scenario("restart", f"restart with {count} spooled instances", _restart(count), (OWN,))
