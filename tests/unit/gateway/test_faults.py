"""What a failure of a request is called, as far as no server is needed to see it."""

import asyncio
import socket

import aiohttp
import pytest

from dicomroute_gateway.dicomweb.faults import TransportFailed, failure, system_sentence
from dicomroute_gateway.probes.wire import connect, way_to


def test_a_connection_that_never_stood_sent_nothing() -> None:
    assert failure(aiohttp.ConnectionTimeoutError("connect"), "https://archive").reason == "ConnectionFailed"
    assert failure(aiohttp.SocketTimeoutError("read"), "https://archive").reason == "TimedOut"


def test_a_delivery_and_a_probe_say_the_same_of_a_connection_that_is_refused() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else has the port, and it refuses
        taken.bind(("127.0.0.1", 0))
        address, url = taken.getsockname(), f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def deliver() -> str:
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.ClientConnectorError) as raised:
                    await session.get(url)
            return str(failure(raised.value, url))

        async def probe() -> str:
            with pytest.raises(TransportFailed) as raised:
                await connect(way_to(url, ""), [(socket.AF_INET, address)])
            return str(raised.value)

        assert asyncio.run(deliver()) == asyncio.run(probe()) == f"{url}: Connection refused"


def test_several_refusals_at_once_keep_what_they_say() -> None:
    assert system_sentence(OSError("Multiple exceptions: one, another")) == "Multiple exceptions: one, another"
