"""What a failure of a request is called, as far as no server is needed to see it."""

import aiohttp

from dicomroute_gateway.deliver.faults import failure


def test_a_connection_that_never_stood_sent_nothing() -> None:
    assert failure(aiohttp.ConnectionTimeoutError("connect"), "https://archive").reason == "ConnectionFailed"
    assert failure(aiohttp.SocketTimeoutError("read"), "https://archive").reason == "TimedOut"
