"""One probe of a target: every step once, over connections of its own, with what deliveries are made with."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from dicomroute_gateway.configuration.credentials import NoAuth
from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.dicomweb.client import Client, CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.connections import proxy_for
from dicomroute_gateway.reasons import PROXY_REASONS, TLS_REASONS, Reason

from .steps import Probed, ProbeStep, StepName, StepResult, advised, answered
from .wire import Address, Way, connect, resolve, shake_hands, way_to

_STEP_SECONDS: Final = 10.0
_QUERY_SECONDS: Final = 20.0
_ALL_SECONDS: Final = 45.0
"""A person waits for it."""

T = TypeVar("T")


class _Steps:
    """The steps of one probe, as they are made."""

    def __init__(self, url: str) -> None:
        self.made: list[ProbeStep] = []
        self._url = url
        self._end = time.monotonic() + _ALL_SECONDS

    def note(self, name: StepName, result: StepResult) -> None:
        """Note a step that is not made."""
        self.made.append(ProbeStep(name, result))

    async def make(self, name: StepName, work: Callable[[], Awaitable[T]], seconds: float = _STEP_SECONDS) -> T | None:
        """Make a step; return what came of it, None when it failed."""
        begin = time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, max(0.1, self._end - begin))):
                value = await work()
        except (CredentialFault, TransportFailed) as error:
            self._fail(name, error.reason, str(error), begin)
        except TimeoutError:
            self._fail(
                name, Reason.TIMED_OUT, f"{self._url} did not answer within {time.monotonic() - begin:.0f} s", begin
            )
        else:
            self.made.append(ProbeStep(name, StepResult.PASSED, seconds=time.monotonic() - begin))
            return value
        return None

    def _fail(self, name: StepName, reason: Reason, message: str, begin: float) -> None:
        if name is StepName.CREDENTIAL and reason in {Reason.TIMED_OUT, *TLS_REASONS, *PROXY_REASONS}:
            reason, message = Reason.TOKEN_ENDPOINT_UNREACHABLE, f"{message} ({reason})"
        self.made.append(ProbeStep(name, StepResult.FAILED, reason, advised(reason, message), time.monotonic() - begin))


async def probe(client: Client, target: CloudTargetDestination) -> Probed:
    """Probe a target with a client that keeps no connection to it yet. Faults are steps.

    The credential is tried wherever the way to the target ends: what is wrong with it is known beside what else is.
    """
    steps = _Steps(target.url)
    is_reached = await _reach(steps, client, target)
    if isinstance(target.auth, NoAuth):
        steps.note(StepName.CREDENTIAL, StepResult.NOT_NEEDED)
        has_credential = True
    else:
        has_credential = await steps.make(StepName.CREDENTIAL, lambda: _credential(client, target), 30.0) is not None
    if is_reached and has_credential:
        await steps.make(StepName.QUERY, lambda: _query(client, target), _QUERY_SECONDS)
    else:
        steps.note(StepName.QUERY, StepResult.NOT_TRIED)
    return Probed(time.time(), tuple(steps.made))


async def _reach(steps: _Steps, client: Client, target: CloudTargetDestination) -> bool:
    """Make the steps to a target; return whether all passed."""
    try:
        way = way_to(target.url, proxy_for(target, target.url))
    except TransportFailed as error:
        steps.made.append(ProbeStep(StepName.DNS, StepResult.FAILED, error.reason, str(error)))
        steps.note(StepName.TCP, StepResult.NOT_TRIED)
        steps.note(StepName.TLS, StepResult.NOT_TRIED)
        return False
    addresses: list[Address] | None = None
    if way.has_literal_address:
        steps.note(StepName.DNS, StepResult.NOT_NEEDED)
        addresses = list(await resolve(way))
    else:
        addresses = await steps.make(StepName.DNS, lambda: _addresses(way))
    is_tls = way.is_tls or way.proxy.startswith("https:")
    connection = None
    if addresses is not None:
        connection = await steps.make(StepName.TCP, lambda: connect(way, addresses), _STEP_SECONDS + 1)
    else:
        steps.note(StepName.TCP, StepResult.NOT_TRIED)
    if not is_tls:
        steps.note(StepName.TLS, StepResult.NOT_NEEDED)
    elif connection is None:
        steps.note(StepName.TLS, StepResult.NOT_TRIED)
    if connection is None:
        return False
    if not is_tls:
        connection.close()
        return True
    return await steps.make(StepName.TLS, lambda: _tls(client, target, way, connection)) is not None


async def _addresses(way: Way) -> list[Address]:
    return list(await resolve(way))


async def _tls(client: Client, target: CloudTargetDestination, way: Way, connection: socket.socket) -> bool:
    try:
        context = await client.connections.context(target)
        options = client.connections.options(target, way.url)
    except BaseException:
        connection.close()
        raise
    await shake_hands(way, connection, context, options.get("proxy_headers", {}))
    return True


async def _credential(client: Client, target: CloudTargetDestination) -> bool:
    await client.authenticate(target)
    return True


async def _query(client: Client, target: CloudTargetDestination) -> bool:
    """Ask for one study; nothing of the answer's body is read. Raises CredentialFault, TransportFailed."""
    path = f"{resources.studies(target)}?limit=1"
    async with client.request(target, "GET", path, {"Accept": "application/dicom+json"}) as response:
        reason, message = answered(response.status, response.headers.get("Content-Type", ""))
    if reason:
        raise TransportFailed(reason, message)
    return True
