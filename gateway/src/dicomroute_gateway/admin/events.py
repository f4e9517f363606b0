"""The feed of events over HTTP: a page at once, a page when there is one (long poll), or a stream of them.

A stream is that of server-sent events (HTML, 9.2). Whoever takes its events slowly has one page of them in memory, and
waits for nobody but itself.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from dicomroute_client.documents.events import EVENT_TYPES
from dicomroute_gateway.events.feed import Cursor, Feed, NoFeed, Page, TooOld
from dicomroute_gateway.measures import EventMeasures

from .answers import refuse

_MOST_WAITING: Final = 200
"""How many may wait or have a stream at once; the door lets 400 connections in."""
_MOST_WAIT_SECONDS: Final = 60
_PAGE: Final = 100
_STREAM_SECONDS: Final = 300.0
"""After so long a stream ends; its reader comes again with the id of the last event, and shows the token anew."""
_BEAT_SECONDS: Final = 15.0
_RETRY_MILLISECONDS: Final = 2000
_CURSOR: Final = re.compile(r"([0-9a-f]{1,32})-([0-9]{1,18})")
_LATEST: Final = "latest"
_NAMES: Final = tuple(one.name for one in EVENT_TYPES)
_TOO_OLD: Final = (
    "the events behind this cursor are no longer kept, or it is of another feed: read /api/v1/status and the ledger "
    "for the current state, then the feed without `after` (every stored event) or with after=latest; ignore events "
    "whose id you know"
)

log = structlog.get_logger(__name__)


class Events:
    """Answers requests for events. Lives in one event loop; `feed` returns None while there is no usable spool."""

    def __init__(self, feed: Callable[[], Feed | None], measures: EventMeasures) -> None:
        self._feed = feed
        self._measures = measures
        self._followed: Feed | None = None
        self._news = asyncio.Event()
        self._waiting = 0
        self._ended = False
        self._reader = ThreadPoolExecutor(2, thread_name_prefix="events-reader")

    def end(self) -> None:
        """Let everybody go who waits."""
        self._ended = True
        self._news.set()
        self._reader.shutdown(wait=False)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a page, or a stream to whoever accepts no other."""
        feed = self._feed()
        if feed is None:
            return refuse(503, "the spool is not usable; /api/v1/status says why")
        self._follow(feed)
        streams = "text/event-stream" in request.headers.get("Accept", "")
        try:
            after = await self._cursor(feed, request, streams=streams)
            names = _names(request.query.get("type", ""))
            limit = _number(request, "limit", _PAGE, 1, 1000)
            wait = _number(request, "wait", 0, 0, _MOST_WAIT_SECONDS)
        except ValueError as error:
            return refuse(400, str(error))
        except NoFeed as error:
            return _unavailable(error)
        if not (streams or wait):
            return await self._page(feed, after, limit, names)
        if self._waiting >= _MOST_WAITING:
            response = refuse(503, f"{_MOST_WAITING} readers wait already: ask again in a minute, or without wait")
            response.headers["Retry-After"] = "60"
            return response
        self._waiting += 1
        try:
            if streams:
                return await self._stream(request, feed, after, names)
            return await self._long_poll(feed, after, limit, names, wait)
        finally:
            self._waiting -= 1

    def _follow(self, feed: Feed) -> None:
        if self._followed is not feed:
            self._followed = feed
            loop = asyncio.get_running_loop()

            def told() -> None:
                loop.call_soon_threadsafe(self._wake)

            feed.follow(told)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        if self._ended:
            self._news.set()
        news.set()

    async def _cursor(self, feed: Feed, request: web.Request, *, streams: bool) -> Cursor | None:
        """Return behind what to read on; None: from the first event that is kept. Raises ValueError, NoFeed."""
        text = request.query.get("after", "")
        if streams:
            text = request.headers.get("Last-Event-ID") or text
        if text == _LATEST:
            return await asyncio.get_running_loop().run_in_executor(self._reader, feed.last)
        if not text:
            return None
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError(
                "after is the cursor of an earlier answer, or `latest`; without it all is told that is kept"
            )
        return Cursor(found[1], int(found[2]))

    def _too_old(self) -> web.Response:
        self._measures.came_too_late()
        return refuse(410, _TOO_OLD)

    async def _read(self, feed: Feed, after: Cursor | None, limit: int, names: Sequence[str]) -> Page:
        return await asyncio.get_running_loop().run_in_executor(self._reader, partial(feed.page, after, limit, names))

    async def _page(self, feed: Feed, after: Cursor | None, limit: int, names: Sequence[str]) -> web.Response:
        try:
            return _as_json(await self._read(feed, after, limit, names))
        except TooOld:
            return self._too_old()
        except NoFeed as error:
            return _unavailable(error)

    async def _long_poll(
        self, feed: Feed, after: Cursor | None, limit: int, names: Sequence[str], seconds: int
    ) -> web.Response:
        """Answer as soon as there is an event; after some seconds without one an empty page."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            news = self._news  # before it is looked: what comes after that is not missed
            try:
                page = await self._read(feed, after, limit, names)
            except TooOld:
                return self._too_old()
            except NoFeed as error:
                return _unavailable(error)
            left = end - loop.time()
            if page.events or left <= 0 or self._ended:
                return _as_json(page)
            after = page.cursor
            await _wait(news, left)

    async def _stream(
        self, request: web.Request, feed: Feed, after: Cursor | None, names: Sequence[str]
    ) -> web.StreamResponse:
        news = self._news
        try:
            page = await self._read(feed, after, _PAGE, names)
        except TooOld:
            return self._too_old()
        except NoFeed as error:
            return _unavailable(error)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        end = loop.time() + _STREAM_SECONDS
        # An id without data is remembered by readers: they come again at the right place, whatever came of it.
        await response.write(f"retry: {_RETRY_MILLISECONDS}\nid: {after or page.cursor}\n\n".encode())
        while not self._ended:
            if page.events:
                await response.write(b"".join(_as_message(str(one.cursor), one.document) for one in page.events))
            if loop.time() > end:
                break
            if not page.more and not await _wait(news, _BEAT_SECONDS):
                await response.write(b": \n\n")
            news = self._news
            try:
                page = await self._read(feed, page.cursor, _PAGE, names)
            except (TooOld, NoFeed):
                break  # who comes again is told what to do
        await response.write_eof()
        return response


async def _wait(news: asyncio.Event, seconds: float) -> bool:
    """Return whether there was something new within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _as_json(page: Page) -> web.Response:
    """Return a page; its events are text already."""
    events = ",".join(one.document for one in page.events)
    more = "true" if page.more else "false"
    text = f'{{"events":[{events}],"cursor":"{page.cursor}","more":{more}}}\n'
    return web.Response(text=text, content_type="application/json")


def _as_message(cursor: str, document: str) -> bytes:
    return f"id: {cursor}\ndata: {document}\n\n".encode()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    if unknown := [one for one in names if one not in _NAMES]:
        raise ValueError(f"type is some of {', '.join(_NAMES)}, with commas, not {unknown[0]!r}")
    return names


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"{name} is a number from {least} to {most}, not {text!r}")
    return int(text)


def _unavailable(error: NoFeed) -> web.Response:
    response = refuse(503, str(error))
    response.headers["Retry-After"] = "2"
    return response
