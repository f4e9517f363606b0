"""When targets are probed, and what follows: in time, never twice at once, and what waited goes out at once."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from corpus import make_corpus
from delivering import TARGET, Delivering
from gateways import LoneGateway
from manifests import Json, route, target
from origin_server import OriginServer
from ports import free_port
from processes import wait_until
from running import dcmsend
from sink import Sink
from web_server import Answer, Received, WebServer

from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.probes.prober import Intervals, Prober

OFTEN = Intervals(working=0.4, failing=0.1, least=0.1)
RARELY = Intervals(working=300, failing=300, least=0.1)
GOOD, BAD = Answer(200, b"[]", "application/dicom+json"), Answer(404)


class Archive(WebServer):
    """Answers as it is told to, when its gate is open; counts how many wait there."""

    def __init__(self) -> None:
        self.says = GOOD
        self.gate = threading.Event()
        self.gate.set()
        self.most_at_once = 0
        self._at_once = 0
        super().__init__()

    def answer(self, request: Received) -> Answer:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.gate.wait(30)
        with self._lock:
            self._at_once -= 1
        return self.says


@pytest.fixture
def archive() -> Iterator[Archive]:
    with closing(Archive()) as one:
        yield one


@pytest.fixture
def delivering(archive: Archive, tmp_path: Path) -> Iterator[Delivering]:
    """A worker that has nothing to deliver."""
    with closing(OriginServer()) as server, closing(Delivering(tmp_path, server, url=archive.url)) as one:
        yield one


def follow(
    delivering: Delivering, folder: Path, until: Callable[[Prober], bool], intervals: Intervals = OFTEN
) -> Prober:
    """Have a prober follow its configuration, as a gateway does, until a condition holds."""

    async def run() -> Prober:
        workers = {TARGET: delivering.worker}
        tokens = TokenCache()
        contexts = TlsContexts(folder / "secrets")
        prober = Prober(lambda: delivering.configuration, folder / "secrets", tokens, workers, contexts, intervals)
        try:
            async with asyncio.timeout(30):
                while not until(prober):
                    prober.follow()
                    await asyncio.sleep(0.01)
        finally:
            await prober.stop()
            await tokens.close()
        return prober

    return asyncio.run(run())


def ready(prober: Prober) -> str:
    found = prober.findings(TARGET)
    return f"{found.ready.status}/{found.ready.reason}" if found else ""


def test_it_is_probed_again_now_and_then(archive: Archive, delivering: Delivering, tmp_path: Path) -> None:
    begin = time.monotonic()
    follow(delivering, tmp_path, lambda _: len(archive.received) >= 3)
    assert time.monotonic() - begin > 2 * OFTEN.working * 0.9
    assert {one.path for one in archive.received} == {"/studies?limit=1"}


def test_a_failing_one_is_probed_more_often_and_its_recovery_seen(
    archive: Archive, delivering: Delivering, tmp_path: Path
) -> None:
    archive.says = BAD
    seen: list[str] = []

    def until(prober: Prober) -> bool:
        if len(archive.received) >= 3:
            archive.says = GOOD
        seen.append(ready(prober))
        return seen[-1] == "True/Ready"

    follow(delivering, tmp_path, until, Intervals(working=300, failing=0.1, least=0.1))
    assert list(dict.fromkeys(seen)) == ["", "False/NotDICOMweb", "True/Ready"]


def test_never_two_at_once(archive: Archive, delivering: Delivering, tmp_path: Path) -> None:
    archive.gate.clear()
    asked: list[asyncio.Task[object]] = []

    def until(prober: Prober) -> bool:
        if archive.received and len(asked) < 5:
            asked.append(asyncio.get_running_loop().create_task(prober.test(TARGET)))
        if len(asked) == 5:
            archive.gate.set()
        return len(asked) == 5 and all(one.done() for one in asked)

    follow(delivering, tmp_path, until, RARELY)
    assert archive.most_at_once == 1
    assert len(archive.received) == 1, "who asks meanwhile is told what the probe under way finds"
    assert all(one.result() is not None for one in asked)


def test_a_delivery_counts_as_a_probe(archive: Archive, delivering: Delivering, tmp_path: Path) -> None:
    archive.says = Answer(405)
    deadline: list[float] = []

    def until(prober: Prober) -> bool:
        if prober.probed(TARGET) is not None:
            delivering.worker.taken_time = time.time()
            deadline.append(time.monotonic())
        return bool(deadline) and time.monotonic() - deadline[0] > 3 * OFTEN.working

    prober = follow(delivering, tmp_path, until)
    assert len(archive.received) == 1
    assert ready(prober) == "True/Ready"


def test_what_is_no_target_is_not_tested(delivering: Delivering, tmp_path: Path) -> None:
    async def ask() -> object:
        prober = Prober(lambda: delivering.configuration, tmp_path, TokenCache(), {}, TlsContexts(tmp_path))
        return await prober.test("CloudTarget/other")

    assert asyncio.run(ask()) is None


def patient_route() -> Json:
    """Return a route that waits for minutes after a fault."""
    one = route(retry={"initialBackoffSeconds": 300, "maxBackoffSeconds": 300, "contentAttempts": 2})
    one["spec"]["listeners"][0]["sources"] = {"policy": "Any"}
    return one


def test_what_waits_goes_out_when_a_probe_succeeds_again(tmp_path: Path) -> None:
    port = free_port()
    documents = [patient_route(), target(url=f"http://127.0.0.1:{port}/dicom-web")]
    gateway = LoneGateway(tmp_path, documents)

    def destination() -> Json:
        return dict(gateway.status()["destinations"][0])

    try:
        wait_until(lambda: destination()["probe"] is not None, "not probed")
        assert destination()["probe"]["ready"]["reason"] == "ConnectionFailed"
        assert dcmsend(gateway.port, make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))) == 0
        wait_until(lambda: destination()["state"] == "Waiting", "nothing was attempted")
        with closing(Sink(port)):  # answers 501 to a query
            ready = gateway.post("/api/v1/test/CloudTarget/archive")["ready"]
            assert (ready["status"], ready["reason"]) == ("Unknown", "QueryNotAllowed")
            wait_until(lambda: gateway.status()["instances"]["deliveredTotal"] == 1, "it waits still", 10)
            assert destination()["probe"]["ready"]["status"] == "True", "a delivery proves more than a query"
            ready = gateway.post("/api/v1/test/CloudTarget/archive")["ready"]
            assert (ready["status"], ready["reason"]) == ("True", "QueryNotAllowed")
    finally:
        gateway.kill()
