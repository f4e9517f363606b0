"""What breaks a destination, or is slow at it, stops only itself: the others of that destination go on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from delivering import Start
from origin_server import OriginServer
from scripted_destination import BROKE_OFF, SERVER_ERROR, STORED, UNREACHABLE, Run

from dicomroute_gateway.deliver.outcome import AttemptOutcome
from dicomroute_gateway.dicomweb import sending as sending_module
from dicomroute_gateway.dicomweb.connections import new_socket
from dicomroute_gateway.dicomweb.credentials.authorize import Authorized, Authorizer, Unsigned
from dicomroute_gateway.dicomweb.sending import Sending
from dicomroute_gateway.spool.content import StoredFile
from dicomroute_gateway.spool.records import DeliveryState
from dicomroute_gateway.throttle import Throttle


@pytest.mark.parametrize("fault", [SERVER_ERROR, BROKE_OFF])
def test_one_that_breaks_its_server_again_and_again_keeps_no_other_waiting(
    tmp_path: Path, server: OriginServer, fault: AttemptOutcome
) -> None:
    poison: list[int] = []

    async def acts(run: Run) -> None:
        poison.extend(run.receive())
        while len(run.transport.requests) < 12:
            run.let_time_pass()
            await asyncio.sleep(0.01)
        others = run.receive(20)
        await run.until(lambda: all(map(run.is_delivered, others)), 3)
        assert not run.is_delivered(poison[0])
        assert run.worker.seconds_until_attempt(poison[0])
        assert run.worker.seconds_until_attempt(others[0]) is None

    Run(tmp_path, server, lambda numbers: fault if poison[0] in numbers else STORED).play(acts)


def test_a_series_that_breaks_its_server_keeps_no_other_series_waiting(tmp_path: Path, server: OriginServer) -> None:
    """None of it is tried twice before another series is: it may all be of one kind."""
    bad: set[int] = set()

    async def acts(run: Run) -> None:
        bad.update(run.receive(200, series="1.2.3"))
        await run.until(lambda: run.worker.is_waiting and not run.worker.in_flight, 20)
        others = run.receive(5, series="1.2.4")
        before = len(run.transport.requests)
        for _ in range(8):
            run.let_time_pass()
            await asyncio.sleep(0.05)
        await run.until(lambda: all(map(run.is_delivered, others)), 3)
        first = next(n for n, one in enumerate(run.transport.requests[before:]) if not bad & set(one))
        assert first <= 1

    Run(tmp_path, server, lambda numbers: SERVER_ERROR if bad & set(numbers) else STORED).play(acts)


def test_a_server_that_answers_is_not_left_alone_for_long(tmp_path: Path, server: OriginServer) -> None:
    async def acts(run: Run) -> None:
        run.receive(40, series="1.2.3")
        pauses = []
        for _ in range(40):
            await asyncio.sleep(0.03)
            pauses.append(run.worker._pace.seconds_until(time.monotonic()))
            run.let_time_pass()
        assert 5 < max(pauses) <= 30

    Run(tmp_path, server, lambda _: SERVER_ERROR).play(acts)


def test_one_at_which_a_server_breaks_off_soon_travels_alone(tmp_path: Path, server: OriginServer) -> None:
    poison: set[int] = set()

    async def acts(run: Run) -> None:
        received = run.receive(30)
        poison.add(received[4])
        await run.until(lambda: sum(map(run.is_delivered, received)) == 29, 10)
        with_poison = [one for one in run.transport.requests if poison & set(one)]
        assert all(len(one) == 1 for one in with_poison[1:]), with_poison

    Run(tmp_path, server, lambda numbers: BROKE_OFF if poison & set(numbers) else STORED).play(acts)


def test_a_long_upload_keeps_nobody_from_asking_after_a_fault_of_another(tmp_path: Path, server: OriginServer) -> None:
    large: set[int] = set()
    failed: list[int] = []

    def answer(numbers: list[int]) -> AttemptOutcome:
        if not large & set(numbers) and not failed:
            failed.extend(numbers)
            return UNREACHABLE
        return STORED

    async def acts(run: Run) -> None:
        large.update(run.receive())
        await run.until(lambda: bool(run.transport.requests), 5)
        others = run.receive()
        await run.until(lambda: bool(failed), 5)
        others += run.receive(20)
        await run.until(lambda: all(map(run.is_delivered, others)), 5)
        assert not any(map(run.is_delivered, large)), "it is still under way"

    Run(tmp_path, server, answer, lambda numbers: 8.0 if large & set(numbers) else 0.001).play(acts)


def test_a_damaged_file_is_the_fault_of_nobody_where_requests_are_signed(
    start: Start, server: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing reads the whole body before it is sent, which shows what only reading shows, and takes no bandwidth."""
    drawn: list[int] = []
    piece = Throttle.piece

    async def signed(_: Authorizer, auth: object, request: Unsigned, *rest: object) -> Authorized:
        before = len(drawn)
        assert request.blocks is not None
        async for _block in request.blocks():
            pass
        assert len(drawn) == before
        return Authorized({})

    def counted(throttle: Throttle, length: int) -> tuple[int, float]:
        drawn.append(length)
        return piece(throttle, length)

    monkeypatch.setattr(Authorizer, "authorize", signed)
    monkeypatch.setattr(Throttle, "piece", counted)
    monkeypatch.setattr(StoredFile, "fault", lambda _: None)
    delivering = start()
    damaged, *others = [delivering.receive(b"\0" * 20) for _ in range(5)]
    with delivering.spool.file(damaged.id).open("r+b") as file:
        file.truncate(10)
    delivering.run(lambda: not any(map(delivering.is_pending, others)))
    delivery = delivering.delivery(damaged)
    assert delivery is not None
    assert (delivery.state, delivery.reason) == (DeliveryState.PENDING, "SpoolUnreadable")
    assert drawn, "what is sent is counted"


class Body:
    """A body of zeros in blocks of 1 MiB."""

    content_type = "application/octet-stream"

    def __init__(self, content_length: int) -> None:
        self.content_length = content_length

    async def blocks(self) -> AsyncIterator[bytes]:
        for _ in range(self.content_length >> 20):
            yield bytes(1 << 20)


def test_a_line_that_moves_at_all_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what was given away and what was taken lie the buffers of the system; the end is under way longest."""
    monkeypatch.setattr(sending_module, "STALL_SECONDS", 0.5)
    length, rate = 12 << 20, 2 << 20

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Content-Length: {length}".encode() in head
        left = length
        while left:
            left -= len(await reader.read(min(left, rate // 50)))
            await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async def send() -> float:
        listener = await asyncio.start_server(slowly, "127.0.0.1", 0, limit=1 << 16)
        port = listener.sockets[0].getsockname()[1]
        begin = time.monotonic()
        body = Body(length)
        async with (
            listener,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=new_socket)) as session,
        ):
            one = Sending(body)
            async with one.stall:
                headers = {"Content-Length": str(length)}
                async with session.post(f"http://127.0.0.1:{port}/", data=one.blocks(), headers=headers) as response:
                    assert response.status == 204
        return time.monotonic() - begin

    assert asyncio.run(send()) > 4
