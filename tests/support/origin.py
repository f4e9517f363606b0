"""A DICOMweb origin server that takes what is authenticated as it wants, and the way that the gateway's client goes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from web_server import Answer, Received, WebServer

from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.dicomweb.client import Client

BODY = b"a body " * 50_000
T = TypeVar("T")


class Origin(WebServer):
    """Answers 200 to what `wants` says is authenticated, 401 to the rest."""

    def __init__(
        self,
        wants: Callable[[Received], bool] = lambda _: True,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.wants = wants
        super().__init__(tls, host)

    def answer(self, request: Received) -> Answer:
        return Answer(200 if self.wants(request) else 401)


class Body:
    """A body that can be sent again."""

    content_type = "application/octet-stream"
    content_length = len(BODY)

    async def blocks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(BODY), 100_000):
            yield BODY[start : start + 100_000]


def destination(url: str, auth: dict[str, Any], **fields: Any) -> CloudTargetDestination:
    """Return a target as the gateway configuration has it."""
    return CloudTargetDestination.model_validate(
        {"kind": "CloudTarget", "name": "archive", "url": url, "auth": auth, **fields}
    )


async def post(client: Client, target: CloudTargetDestination) -> int:
    """Store something; return the status."""
    async with client.request(target, "POST", "/studies", {"Accept": "application/dicom+json"}, Body()) as response:
        await response.read(1 << 16)
        return response.status


def with_client(secrets: Path, act: Callable[[Client], Awaitable[T]]) -> T:
    """Do something with a client, in an event loop of its own."""

    async def run() -> T:
        client = Client(secrets)
        try:
            return await act(client)
        finally:
            await client.close()

    return asyncio.run(run())


def store(secrets: Path, target: CloudTargetDestination) -> int:
    """Store something with a client of its own; return the status."""
    return with_client(secrets, lambda client: post(client, target))
