"""Asks one gateway for its status, over TLS, known by its certificate's fingerprint alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import aiohttp
import structlog
from pydantic import ValidationError

from dicomroute_operator.api.gateway_report import GatewayReport
from dicomroute_operator.render import names

from .credential import Access

TIMEOUT_SECONDS: Final = 5
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


log = structlog.get_logger(__name__)


class GatewayError(Exception):
    """A gateway could not be asked. `unauthorized` when it answered and did not know the credential."""

    def __init__(self, message: str, *, unauthorized: bool = False) -> None:
        super().__init__(message)
        self.unauthorized = unauthorized


async def ask(session: aiohttp.ClientSession, address: str, access: Access) -> GatewayReport:
    """Return what the gateway at a pod's address reports. Raises GatewayError.

    The fingerprint is checked before the token is sent; it takes the place of a certificate authority and of the name.
    """
    host = f"[{address}]" if ":" in address else address
    try:
        async with session.get(
            f"https://{host}:{names.API_PORT}/api/v1/status",
            headers={"Authorization": f"Bearer {access.token}"},
            ssl=aiohttp.Fingerprint(access.fingerprint),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=2),
        ) as response:
            if response.status == 401:
                raise GatewayError("it does not know the admin token yet", unauthorized=True)
            if response.status != 200:
                raise GatewayError(f"it answered with status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise GatewayError(f"its status is longer than {_MAX_ANSWER_BYTES} bytes")
            return GatewayReport.model_validate_json(bytes(body))
    except aiohttp.ServerFingerprintMismatch as error:
        raise GatewayError("it shows another certificate than the one made for it", unauthorized=True) from error
    except aiohttp.ClientError as error:
        raise GatewayError(f"port {names.API_PORT}: {error}") from error
    except TimeoutError as error:
        raise GatewayError(f"port {names.API_PORT}: no answer within {TIMEOUT_SECONDS} s") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise GatewayError(f"its status is not readable: {where}: {first['msg']}") from error


def session() -> aiohttp.ClientSession:
    """Return a session that keeps no connections: a thousand open ones would cost more than a handshake each."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


async def ask_all(
    gateways: Mapping[str, tuple[str, Access]], concurrency: int
) -> AsyncIterator[tuple[str, GatewayReport | GatewayError]]:
    """Ask many gateways at once, and yield each answer with its key as it comes: no silent one delays another's."""
    places = asyncio.Semaphore(concurrency)

    async def one(key: str, address: str, access: Access) -> tuple[str, GatewayReport | GatewayError]:
        async with places:
            try:
                return key, await ask(shared, address, access)
            except GatewayError as error:
                return key, error
            except Exception as error:
                log.exception("gateway.unreadable", address=address)
                return key, GatewayError(f"{type(error).__name__}: the operator's log says more")

    async with session() as shared:
        for answer in asyncio.as_completed([one(key, *gateway) for key, gateway in gateways.items()]):
            yield await answer
