"""Whoever can reach the operator's health port neither silences it nor takes its descriptors."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

from dicomroute_operator.handlers.health import Vitals, serving_health

STRANGER = "127.0.0.2"
VITALS = Vitals(
    is_leader=True,
    is_synced=True,
    routes=200,
    queue_length=0,
    reconciled=1,
    failed=0,
    asked=1,
    unanswered=0,
    silent_seconds=0.0,
    ready={("imaging", f"route-{number}"): (True, "Ready") for number in range(200)},
)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    async with serving_health(lambda: VITALS, port):
        yield port


async def ask(port: int, path: str, address: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: operator\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()


async def healthy_seconds(port: int) -> float:
    begin = time.monotonic()
    assert (await ask(port, "/healthz")).startswith(b"HTTP/1.1 200 ")
    return time.monotonic() - begin


def test_answers() -> None:
    async def check() -> None:
        async with serving() as port:
            assert (await ask(port, "/readyz")).endswith(b"ok\n")
            metrics = await ask(port, "/metrics")
            assert metrics.count(b"dicomroute_operator_route_ready{") == len(VITALS.ready)
            assert (await ask(port, "/else")).startswith(b"HTTP/1.1 404 ")

    asyncio.run(check())


def test_300_callers_that_ask_without_end() -> None:
    async def check() -> None:
        async with serving() as port:

            async def go_on() -> None:
                while True:
                    with contextlib.suppress(OSError):
                        await ask(port, "/metrics", STRANGER)

            callers = [asyncio.create_task(go_on()) for _ in range(300)]
            ends = time.monotonic() + 5
            waits = []
            while time.monotonic() < ends:
                waits.append(await healthy_seconds(port))
                await asyncio.sleep(0.1)
            for one in callers:
                one.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
            assert max(waits) < 2

    asyncio.run(check())


def test_half_sent_requests_end() -> None:
    async def check() -> None:
        async with serving() as port:
            silent = [await asyncio.open_connection("127.0.0.1", port, local_addr=(STRANGER, 0)) for _ in range(300)]
            for _, writer in silent[::2]:
                with contextlib.suppress(OSError):
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: op")
            assert await healthy_seconds(port) < 1
            begin = time.monotonic()
            async with asyncio.timeout(10):
                for reader, writer in silent:
                    with contextlib.suppress(OSError):
                        assert await reader.read() == b""
                    writer.close()
            assert time.monotonic() - begin < 8

    asyncio.run(check())
