"""Asks gateways for their status, many at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import structlog

from dicomroute_client import calls
from dicomroute_client.asynchronous import AdminClient, GatewayAddress, session
from dicomroute_client.documents.status import StatusDocument
from dicomroute_client.errors import AdminError, Refused, Unknown, Unreadable
from dicomroute_operator.render import names

from .credential import Access

log = structlog.get_logger(__name__)


class GatewayError(Exception):
    """A gateway could not be asked. `unauthorized` when it answered and did not know the credential."""

    def __init__(self, message: str, *, unauthorized: bool = False) -> None:
        super().__init__(message)
        self.unauthorized = unauthorized


async def ask(client: AdminClient, address: str, access: Access) -> StatusDocument:
    """Return what the gateway at a pod's address reports. Raises GatewayError."""
    gateway = GatewayAddress(address, names.API_PORT, access.token, access.fingerprint)
    try:
        return (await client.ask(gateway, calls.status())).document
    except Unknown as error:
        raise GatewayError(str(error), unauthorized=True) from error
    except Refused as error:
        raise GatewayError(f"it answered with status {error.status}") from error
    except Unreadable as error:
        raise GatewayError(f"its status is not readable: {error}") from error
    except AdminError as error:
        raise GatewayError(str(error)) from error


async def ask_all(
    gateways: Mapping[str, tuple[str, Access]], concurrency: int
) -> AsyncIterator[tuple[str, StatusDocument | GatewayError]]:
    """Ask many gateways at once, and yield each answer with its key as it comes: no silent one delays another's."""
    places = asyncio.Semaphore(concurrency)

    async def one(key: str, address: str, access: Access) -> tuple[str, StatusDocument | GatewayError]:
        async with places:
            try:
                return key, await ask(client, address, access)
            except GatewayError as error:
                return key, error
            except Exception as error:
                log.exception("gateway.unreadable", address=address)
                return key, GatewayError(f"{type(error).__name__}: the operator's log says more")

    async with session() as connections:
        client = AdminClient(connections)
        for answer in asyncio.as_completed([one(key, *gateway) for key, gateway in gateways.items()]):
            yield await answer
