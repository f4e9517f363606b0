"""One stream a tab of what happens at gateways, so that a page renews itself then, and not by asking over and over.

A message says of which route something is new, and what kind of thing; the page asks for itself again, with the rights
of the person. So the stream tells nothing that the page does not show.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from dicomroute_client.asynchronous import EventFollower, GatewayAddress
from dicomroute_client.errors import AdminError, TooOld
from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import ROUTES, NotAllowed, NotFound, OutOfReach, Right

from .asking import Console, Me, console_of, needs

router = APIRouter()
_MOST_GATEWAYS: Final = 20
"""A page of more gateways asks now and then: each of them would have a request open for each tab."""
_MOST_STREAMS: Final = 200
_STREAM_SECONDS: Final = 120.0
"""After so long a stream ends: the tab comes again, if its session lasts."""
_BEAT_SECONDS: Final = 15.0
"""So often it is looked whether the person still may, besides."""
_GATHERED_SECONDS: Final = 1.0
_AGAIN_MILLISECONDS: Final = 2000

_Followed = tuple[str, str, GatewayAddress]


@router.get("/routes/{namespace}/{name}/events", dependencies=[Depends(needs(Right.SEE_QUEUE))])
async def of_route(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Tell what happens at the gateways of a route."""
    return await _answer(request, me, [(namespace, name)])


@router.get("/events")
async def of_all(request: Request, me: Me) -> Response:
    """Tell what happens at the gateways of all routes that the person may ask."""
    console = console_of(request)
    named = [
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in await console.source.resources(me, ROUTES)
    ]
    return await _answer(request, me, named if len(named) <= _MOST_GATEWAYS else [])


async def _answer(request: Request, me: Person, routes: Sequence[tuple[str, str]]) -> Response:
    """Return a stream; without a gateway to follow 204, after which a browser does not come again."""
    console = console_of(request)
    followed: list[_Followed] = []
    for namespace, name in routes:
        try:
            if await console.source.may(me, Right.SEE_QUEUE, namespace, name):
                followed += [(namespace, name, one) for one in await console.source.gateways(me, namespace, name)]
        except (NotAllowed, NotFound, OutOfReach):
            continue  # the page says it
    if not 0 < len(followed) <= _MOST_GATEWAYS or console.streams >= _MOST_STREAMS:
        return Response(status_code=204)
    return StreamingResponse(_stream(console, me, followed), media_type="text/event-stream")


async def _stream(console: Console, me: Person, followed: Sequence[_Followed]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    news: asyncio.Queue[tuple[str, str]] = asyncio.Queue(1000)
    console.streams += 1
    readers = [loop.create_task(_follow(console, one, news)) for one in followed]
    try:
        # Tabs that lost the console at one moment do not come back at one moment.
        yield f"retry: {_AGAIN_MILLISECONDS + random.randrange(_AGAIN_MILLISECONDS)}\n\n"  # noqa: S311
        end = loop.time() + _STREAM_SECONDS
        while loop.time() < end:
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    first = await news.get()
            except TimeoutError:
                if not await _may(console, me, followed):
                    return
                yield ": \n\n"
                continue
            told = {first: None}
            await asyncio.sleep(_GATHERED_SECONDS)
            while not news.empty():
                told[news.get_nowait()] = None
            for route, name in told:
                yield f"data: {json.dumps({'route': route, 'type': name})}\n\n"
    finally:
        console.streams -= 1
        for one in readers:
            one.cancel()


async def _follow(console: Console, followed: _Followed, news: asyncio.Queue[tuple[str, str]]) -> None:
    """Put what happens at a gateway from now on where the stream takes it; a gateway that is away is waited for."""
    namespace, name, gateway = followed
    while True:
        try:
            async for event in EventFollower(console.client(), gateway, "latest"):
                if not news.full():
                    news.put_nowait((f"{namespace}/{name}", event.name))
        except TooOld:
            continue
        except AdminError:
            return  # it is not asked again with what it refuses: the tab comes again, and asks anew who it is


async def _may(console: Console, me: Person, followed: Sequence[_Followed]) -> bool:
    try:
        return all([await console.source.may(me, Right.SEE_QUEUE, *one[:2]) for one in followed])
    except (NotKnown, OutOfReach):
        return False
