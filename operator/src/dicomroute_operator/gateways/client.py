"""Asks one gateway for its status, over TLS, known by its certificate's fingerprint alone."""

import asyncio
from dataclasses import dataclass
from typing import Final

import aiohttp
from pydantic import ValidationError

from dicomroute_operator.api.gateway_report import GatewayReport
from dicomroute_operator.render import names

TIMEOUT_SECONDS: Final = 5
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class GatewayError(Exception):
    """A gateway could not be asked. `unauthorized` when it answered and did not know the credential."""

    def __init__(self, message: str, *, unauthorized: bool = False) -> None:
        super().__init__(message)
        self.unauthorized = unauthorized


@dataclass(frozen=True, slots=True)
class Access:
    """How a gateway is asked: the token, and the fingerprint of the certificate it must show."""

    token: str
    fingerprint: bytes


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
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        ) as response:
            body = await response.content.read(_MAX_ANSWER_BYTES)
            if response.status == 401:
                raise GatewayError("it does not know the admin token yet", unauthorized=True)
            if response.status != 200:
                raise GatewayError(f"it answered with status {response.status}")
            return GatewayReport.model_validate_json(body)
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


async def ask_all(gateways: dict[str, tuple[str, Access]], concurrency: int) -> dict[str, GatewayReport | GatewayError]:
    """Ask many gateways at once, by key; one that does not answer delays no other but by its place."""
    places = asyncio.Semaphore(concurrency)

    async def one(address: str, access: Access) -> GatewayReport | GatewayError:
        async with places:
            try:
                return await ask(shared, address, access)
            except GatewayError as error:
                return error

    async with session() as shared:
        answers = await asyncio.gather(*(one(*gateway) for gateway in gateways.values()))
    return dict(zip(gateways, answers, strict=True))
