"""What every page needs: who asks, whether they may, and what the gateways say."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, cast

from fastapi import Depends, Request
from jinja2 import Environment

from dicomroute_client import asynchronous
from dicomroute_client.asynchronous import AdminClient, GatewayAddress
from dicomroute_client.calls import Call, D
from dicomroute_client.errors import AdminError, Refused
from dicomroute_console import audit
from dicomroute_console.signin.doors import Doors
from dicomroute_console.signin.sessions import Sessions
from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import NotAllowed, NotFound, OutOfReach, Right, Source

_CONCURRENCY: Final = 32


@dataclass(frozen=True)
class Settings:
    """How the console is served. `hosts` are the names by which it is asked; `is_local`: by `dicomroute run`."""

    hosts: frozenset[str]
    is_local: bool

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; behind TLS no other host can set it."""
        return "dicomroute-console" if self.is_local else "__Host-dicomroute-console"


class Console:
    """The parts that pages share."""

    def __init__(self, source: Source, settings: Settings, templates: Environment, doors: Doors) -> None:
        self.source = source
        self.doors = doors
        self.settings = settings
        self.templates = templates
        self.sessions = Sessions()
        self.streams = 0
        """How many tabs have a stream."""
        self._connections: Any = None

    def client(self) -> AdminClient:
        """Return a client of the gateways. For the event loop's thread."""
        if self._connections is None:
            self._connections = asynchronous.session()
        return AdminClient(self._connections)

    async def close(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.close()
        await self.source.close()
        await self.doors.close()


def console_of(request: Request) -> Console:
    """Return the console that answers a request."""
    return cast(Console, request.app.state.console)


def bearer_of(request: Request) -> str:
    """Return the token that a program sends with a request, "" for none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def signed_in(request: Request) -> Person:
    """Return who asks: by a session, or by a token that comes with the request. Raises NotKnown."""
    console = console_of(request)
    if token := bearer_of(request):
        return await console.doors.bearer(token) or await console.source.person(token, ())
    number = request.cookies.get(console.settings.cookie, "")
    person = console.sessions.person(number)
    if person is None:
        raise NotKnown("sign in first")
    if not console.doors.still(person):
        console.sessions.end(number)
        raise NotKnown("this user is not what he was when he signed in: sign in again")
    return person


Me = Annotated[Person, Depends(signed_in)]


def needs(right: Right) -> Callable[..., Awaitable[None]]:
    """Return what lets nobody through who has not this right on the resource that the path names."""

    async def check(request: Request, namespace: str, name: str, me: Me) -> None:
        if not await console_of(request).source.may(me, right, namespace, name):
            audit.refused(me, right, namespace, name)
            raise NotAllowed(
                f"{me.name} does not have {right.sentence} on {namespace}/{name}: ask the administrator of the "
                "namespace"
            )

    return check


@dataclass(frozen=True)
class Said(Generic[D]):
    """What a gateway of a route said, or why it said nothing."""

    namespace: str
    name: str
    host: str
    document: D | None = None
    problem: str = ""


async def ask(
    gateway: GatewayAddress, client: AdminClient, call: Call[D], where: tuple[str, str], by: str = ""
) -> Said[D]:
    """Make a call at one gateway; a problem is an answer too."""
    try:
        answer = await client.ask(gateway, call, by)
    except AdminError as error:
        return Said(*where, gateway.host, None, str(error))
    return Said(*where, gateway.host, answer.document)


async def ask_route(
    console: Console, me: Person, namespace: str, name: str, call: Call[D], *, first: bool = False
) -> list[Said[D]]:
    """Make a call at every gateway of a route, or at the first alone. Raises NotAllowed, NotFound, OutOfReach."""
    gateways = await console.source.gateways(me, namespace, name)
    if not gateways:
        raise OutOfReach(f"no pod of route {namespace}/{name} has an address yet")
    if first:
        gateways = gateways[:1]
    client = console.client()
    where = (namespace, name)
    return list(await asyncio.gather(*(ask(one, client, call, where, me.name) for one in gateways)))


async def ask_routes(console: Console, me: Person, routes: Sequence[tuple[str, str]], call: Call[D]) -> list[Said[D]]:
    """Make a call at the gateways of several routes; where that is not possible the answer says why."""
    places = asyncio.Semaphore(_CONCURRENCY)

    async def one(namespace: str, name: str) -> list[Said[D]]:
        async with places:
            try:
                return await ask_route(console, me, namespace, name, call)
            except (NotAllowed, NotFound, OutOfReach) as error:
                return [Said(namespace, name, "", None, str(error))]

    answers = await asyncio.gather(*(one(*route) for route in routes))
    return [said for answer in answers for said in answer]


async def ask_one(console: Console, me: Person, namespace: str, name: str, host: str, call: Call[D]) -> D:
    """Make a call at the gateway of a route that has this address. Raises NotFound, OutOfReach."""
    for gateway in await console.source.gateways(me, namespace, name):
        if gateway.host == host:
            try:
                return (await console.client().ask(gateway, call, me.name)).document
            except Refused as error:
                raise (NotFound if error.status == 404 else OutOfReach)(str(error)) from error
            except AdminError as error:
                raise OutOfReach(f"the gateway at {host}: {error}") from error
    raise NotFound(f"route {namespace}/{name} has no gateway at {host}: its pod may have moved, so reload the page")
