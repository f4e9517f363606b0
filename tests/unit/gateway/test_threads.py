"""What blocks in some threads does not keep others from their work."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from delivering import TARGET, Delivering
from origin_server import OriginServer

from dicomroute_client.documents.ledger import LedgerDocument
from dicomroute_gateway.admin.ledger import LedgerView, Question
from dicomroute_gateway.admin.server import AdminServer
from dicomroute_gateway.deliver.cloud.stow import StowTransport
from dicomroute_gateway.deliver.settling import Settling
from dicomroute_gateway.deliver.transport import Item
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.prepare.transcode import IMPLICIT_VR_LITTLE_ENDIAN
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.throttle import Throttle

PATIENCE_SECONDS = 10
TOKEN = "letmein"


@pytest.fixture
def delivering(tmp_path: Path) -> Iterator[Delivering]:
    with closing(OriginServer()) as server, closing(Delivering(tmp_path, server, provider="Azure")) as one:
        yield one


class Gate:
    """Holds whoever calls it until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self) -> None:
        self.entered.release()
        assert self._open.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        self._open.set()


@contextmanager
def opened_at_last() -> Iterator[Gate]:
    gate = Gate()
    try:
        yield gate
    finally:
        gate.open()


def one_thread() -> None:
    """Leave asyncio one thread."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))


async def only(threads: set[threading.Thread]) -> bool:
    """Return whether all other threads end, and before a test loses its patience."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while set(threading.enumerate()) - threads:
                await asyncio.sleep(0.01)
            return True
    return False


def test_deliveries_are_settled_while_other_threads_are_blocked(delivering: Delivering) -> None:
    one = delivering.receive(bytes(100))

    async def run() -> None:
        one_thread()
        settling = Settling(delivering.spool)
        with opened_at_last() as gate:
            blocked = asyncio.create_task(asyncio.to_thread(gate))
            await asyncio.sleep(0)
            before = set(threading.enumerate())
            async with asyncio.timeout(PATIENCE_SECONDS / 2):
                await settling.settle([DeliveryRecord(one.id, TARGET, DeliveryState.DEAD_LETTERED)])
        await blocked
        await settling.close()
        assert await only(before)

    asyncio.run(run())
    assert not delivering.is_pending(one)


def test_transcoding_leaves_the_threads_of_others_alone(delivering: Delivering) -> None:
    one = delivering.receive(bytes(100), transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN)
    pending = DeliveryRecord(one.id, TARGET, DeliveryState.PENDING)
    spool: Any = delivering.spool
    item = Item(one, pending, delivering.preparing.parcel(one))

    async def run() -> None:
        one_thread()
        with opened_at_last() as gate:

            def derived(*_: object) -> None:
                gate()
                raise TranscodingFailed("as this test wants it")

            with patch.object(spool, "derived", derived):
                transport = StowTransport(
                    lambda: delivering.destination, Path(), TokenCache(), Throttle(lambda: None), delivering.preparing
                )
                sending = asyncio.create_task(anext(transport.send([item])))
                while not gate.entered.acquire(blocking=False):
                    await asyncio.sleep(0.01)
                async with asyncio.timeout(PATIENCE_SECONDS / 2):
                    await asyncio.to_thread(bool)
                gate.open()
                sent = await sending
                assert [outcome.reason for outcome in sent.outcomes] == ["TranscodingFailed"]
                await transport.close()

    asyncio.run(run())


class BlockedLedger(LedgerView):
    """A ledger that takes its time."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def find(self, question: Question, limit: int) -> LedgerDocument:
        self._gate()
        return LedgerDocument(items=[], truncated=False)

    def report(self, day: date) -> Any:
        return self.find(Question(first_day=day), 1)


def test_questions_to_the_ledger_do_not_pile_up(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)

    async def run() -> None:
        one_thread()
        with opened_at_last() as gate:
            ledger = BlockedLedger(gate)
            server = AdminServer(
                lambda: pytest.fail("it was observed"),
                lambda: None,
                lambda: ledger,
                tmp_path / "token",
                Measures(),
                list,
                lambda: None,
                lambda: None,
            )
            port = await server.start("127.0.0.1", 0, health=False, api=True)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:

                async def ask(what: str) -> tuple[int, dict[str, Any]]:
                    async with session.get(f"/api/v1/{what}") as response:
                        return response.status, await response.json()

                asked = [asyncio.create_task(ask(what)) for what in ("ledger", "report", "ledger", "report")]
                async with asyncio.timeout(PATIENCE_SECONDS / 2):
                    refused = [await one for one in islice(asyncio.as_completed(asked), 2)]
                    await asyncio.to_thread(bool)
                for status, document in refused:
                    assert (status, "retry in a minute" in document["error"]) == (429, True)
                gate.open()
                assert sorted([status for status, _ in await asyncio.gather(*asked)]) == [200, 200, 429, 429]
                assert (await ask("ledger"))[0] == 200, "and then it answers again"
            await server.stop()

    asyncio.run(run())
