"""The HTTP server of the admin room: plain health and metrics, and the API behind a token."""

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from pydantic import ValidationError

from dicomroute_client.calls import Operation
from dicomroute_client.documents.document import Document
from dicomroute_client.documents.erase import ErasureRequest
from dicomroute_client.documents.queue import QueueSelection, QueueState
from dicomroute_client.documents.studies import StudyStateChoice
from dicomroute_client.tokens import Scope
from dicomroute_gateway import audit
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.destination import destination_named
from dicomroute_gateway.dimse.refused import RefusalCount
from dicomroute_gateway.events.feed import Feed
from dicomroute_gateway.explain.treatment import Words
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.probes.prober import Prober, TooManyTests
from dicomroute_gateway.query.person import ForPersons

from .answers import answer as _answer
from .answers import refuse as _refuse
from .door import Door
from .dry_run import caller_of, content_of, explained
from .entrance import CALLER, Entrance, NotLetIn
from .events import Events
from .lately import Lately
from .ledger import LedgerView, Question
from .metrics import CONTENT_TYPE, metrics_text
from .openapi import openapi_json
from .queue import Queue
from .retrieving import Retrieving
from .status import Observation, probe_document, refused_document, status_document
from .studies import StudiesView

_AE_TITLE: Final = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"
"""No backslash, no control character, and no blank at the ends (PS3.5 table 6.2-1)."""
_STATES = tuple(QueueState)
_UNKNOWN_STUDY = (
    "there is no such study in the spool, and the ledger knows none: it may be older than spec.ledger.retentionSeconds"
)
_LOGGED_INSTANCES: Final = 100
_QUEUE_SCOPES: Final = tuple(one.scope for one in Operation)
_MOST_QUESTIONS: Final = 2
"""How many questions to the ledger are taken: one that is being answered, and one that waits."""

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminServer:
    """Serves health, metrics and the API. `queue`, `ledger`, `studies`, `prober` and `feed` return None while there is
    no usable spool, `configuration` while none is in force.
    """

    def __init__(
        self,
        observe: Callable[[], Observation],
        queue: Callable[[], Queue | None],
        ledger: Callable[[], LedgerView | None],
        token_file: Path,
        measures: Measures,
        refused: Callable[[], Sequence[RefusalCount]],
        prober: Callable[[], Prober | None],
        configuration: Callable[[], Configuration | None],
        studies: Callable[[], StudiesView | None] = lambda: None,
        feed: Callable[[], Feed | None] = lambda: None,
        words: Words = lambda _: None,
        persons: Callable[[], ForPersons | None] = lambda: None,
    ) -> None:
        self._observe = observe
        self._queue = queue
        self._ledger = ledger
        self._entrance = Entrance(token_file)
        self._refused = refused
        self._prober = prober
        self._configuration = configuration
        self._words = words
        self._studies = studies
        self._runners: list[web.AppRunner] = []
        self._doors: list[Door] = []
        self._observed = Lately(observe)
        self._measured = Lately(lambda: metrics_text(status_document(observe()), measures))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._questions: list[Future[Any]] = []
        self._events = Events(feed, measures.events)
        self._retrieving = Retrieving(persons)

    async def start(self, bind: str, port: int, *, health: bool, api: bool, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port for health, the API, or both; return the port. Raises OSError."""
        doors: list[Door] = []

        @web.middleware
        async def in_turn(request: web.Request, handler: Handler) -> web.StreamResponse:
            async with doors[0].serving(request.transport):
                return await handler(request)

        app = web.Application(middlewares=[in_turn, _errors_as_json])
        if health:
            app.add_routes(
                [
                    web.get("/healthz", self._healthz),
                    web.get("/readyz", self._readyz),
                    web.get("/metrics", self._metrics),
                ]
            )
        if api:
            app.add_routes(
                [
                    web.get("/openapi.json", self._openapi),
                    web.get("/api/v1/status", self._secured(self._status, Scope.QUEUE_GET)),
                    web.get("/api/v1/ledger", self._secured(self._find, Scope.STUDIES_GET)),
                    web.get("/api/v1/report", self._secured(self._report, Scope.STUDIES_GET)),
                    web.get("/api/v1/studies", self._secured(self._list_studies, Scope.STUDIES_GET)),
                    web.get("/api/v1/studies/{uid}", self._secured(self._show_study, Scope.STUDIES_GET)),
                    web.get("/api/v1/refused", self._secured(self._list_refused, Scope.QUEUE_GET)),
                    web.get("/api/v1/events", self._secured(self._events.answer, Scope.QUEUE_GET)),
                    web.get("/api/v1/queue", self._secured(self._list, Scope.QUEUE_GET)),
                    web.get("/api/v1/queue/{instance}", self._secured(self._show, Scope.QUEUE_GET)),
                    web.post("/api/v1/test/{kind}/{name}", self._secured(self._test, Scope.TEST)),
                    web.post(
                        "/api/v1/queue/{operation}", self._secured(self._change, *(one.scope for one in Operation))
                    ),
                    web.post("/api/v1/erase", self._secured(self._erase, Scope.STUDIES_DELETE)),
                    web.post("/api/v1/find", self._secured(self._retrieving.find, Scope.IDENTIFIERS_GET)),
                    web.get("/api/v1/moves", self._secured(self._retrieving.moves, Scope.IDENTIFIERS_GET)),
                    web.post("/api/v1/moves", self._secured(self._retrieving.move, Scope.QUERY)),
                    web.post("/api/v1/moves/{number}/cancel", self._secured(self._retrieving.cancel, Scope.QUERY)),
                    web.get("/api/v1/audit", self._secured(self._retrieving.trail, Scope.AUDIT_GET)),
                    web.post("/api/v1/explain", self._secured(self._explain, Scope.EXPLAIN)),
                ]
            )
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        assert runner.server is not None
        doors.append(Door(runner.server, tls))
        self._doors += doors
        return doors[0].open(bind, port)

    async def stop(self) -> None:
        """Stop serving."""
        self._events.end()
        for door in self._doors:
            door.close()
        for runner in self._runners:
            await runner.cleanup()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _secured(self, handler: Handler, *scopes: Scope) -> Handler:
        """Return a handler for who has the admin token, or a token of the console for one of `scopes`."""

        async def check(request: web.Request) -> web.StreamResponse:
            try:
                request[CALLER] = self._entrance.caller(request.headers, scopes, time.time())
            except NotLetIn as error:
                return _refuse(error.status, str(error))
            for door in self._doors:
                door.trust(request.transport)
            return await handler(request)

        return check

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        seen = self._observed.get()
        if seen.ready:
            return web.Response(text="ok\n")
        why = "\n".join(f"{section}: {reason}: {message}" for section, reason, message in seen.problems)
        return web.Response(status=503, text=f"not ready\n{why}\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._measured.get(), headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(openapi_json), content_type="application/json")

    async def _status(self, _request: web.Request) -> web.Response:
        return _answer(status_document(self._observe()))

    async def _list_refused(self, _request: web.Request) -> web.Response:
        return _answer(refused_document(self._refused()))

    async def _test(self, request: web.Request) -> web.Response:
        prober = self._prober()
        if prober is None:
            return _no_spool()
        destination = destination_named(request.match_info["kind"], request.match_info["name"])
        calling = request.query.get("callingAETitle", "")
        if calling and not re.fullmatch(_AE_TITLE, calling):
            return _refuse(400, f"callingAETitle must be an AE title of 1 to 16 characters, not {calling!r}")
        try:
            tested = await prober.test(destination, calling)
        except TooManyTests:
            return _refuse(429, "too many nodes are being tested: retry in a minute")
        if tested is None:
            return _refuse(
                404, f"this gateway does not deliver to {destination}: only destinations of rules can be tested"
            )
        return _answer(probe_document(tested.probed, tested.findings))

    async def _list(self, request: web.Request) -> web.Response:
        queue = self._queue()
        if queue is None:
            return _no_spool()
        state = request.query.get("state")
        if state is not None and state not in _STATES:
            return _refuse(400, f"state must be one of {', '.join(_STATES)}, not {state!r}")
        names = ("destination", "state", "reason", "study")
        selection = QueueSelection.model_validate({"all": True, **{n: request.query.get(n) for n in names}})
        try:
            limit = _limit(request)
        except ValueError as error:
            return _refuse(400, str(error))
        if sentence := queue.unknown(selection.destination):
            return _refuse(404, sentence)
        page = await asyncio.to_thread(queue.page, selection, limit)
        queue.foretell(page.items)
        return _answer(page)

    async def _find(self, request: web.Request) -> web.Response:
        ledger = self._ledger()
        if ledger is None:
            return _no_spool()
        query = request.query
        try:
            question = Question(
                sop_instance_uid=query.get("sopInstanceUID", ""),
                series_instance_uid=query.get("seriesInstanceUID", ""),
                study_instance_uid=query.get("studyInstanceUID", ""),
                calling_ae_title=query.get("callingAETitle", ""),
                first_day=_day(query, "from", date.min),
                last_day=_day(query, "to", date.max),
            )
            limit = _limit(request)
        except ValueError as error:
            return _refuse(400, str(error))
        return await self._read(partial(ledger.find, question, limit))

    async def _report(self, request: web.Request) -> web.Response:
        ledger = self._ledger()
        if ledger is None:
            return _no_spool()
        try:
            today = datetime.now(UTC).date()
            day = _day(request.query, "day", today)
            if day > today:
                raise ValueError(f"{day} is in the future: the gateway's date is {today} (UTC)")
        except ValueError as error:
            return _refuse(400, str(error))
        return await self._read(partial(ledger.report, day))

    async def _list_studies(self, request: web.Request) -> web.Response:
        studies = self._studies()
        if studies is None:
            return _no_spool()
        state = request.query.get("state")
        if state is not None and state not in tuple(StudyStateChoice):
            return _refuse(400, f"state is one of {', '.join(StudyStateChoice)}, not {state!r}")
        try:
            day = _day(request.query, "day", date.min)
            limit = _limit(request)
        except ValueError as error:
            return _refuse(400, str(error))
        chosen = StudyStateChoice(state) if state is not None else None
        return await self._read(partial(studies.page, chosen, None if day == date.min else day, limit))

    async def _show_study(self, request: web.Request) -> web.Response:
        studies = self._studies()
        if studies is None:
            return _no_spool()
        uid = request.match_info["uid"]
        try:
            limit = _limit(request, 1000)
        except ValueError as error:
            return _refuse(400, str(error))

        def show() -> Document:
            if (found := studies.show(uid, limit)) is None:
                raise LookupError
            return found

        try:
            return await self._read(show)
        except LookupError:
            return _refuse(404, _UNKNOWN_STUDY)

    async def _explain(self, request: web.Request) -> web.Response:
        configuration = self._configuration()
        if configuration is None:
            return _refuse(503, "no configuration is in effect; /api/v1/status says why")
        try:
            caller = caller_of(request.query)
            content = await content_of(request)
            return await self._read(partial(explained, configuration, caller, content, time.time(), self._words))
        except ValueError as error:
            return _refuse(400, str(error))

    async def _read(self, ask: Callable[[], Document]) -> web.Response:
        """Answer a question that reads much, unless too many are asked: one thread does that, and they cannot pile up.

        A question that nobody waits for any more counts until its thread is done with it.
        """
        self._questions = [one for one in self._questions if not one.done()]
        if len(self._questions) >= _MOST_QUESTIONS:
            return _refuse(429, "too many requests are reading the ledger: retry in a minute")
        future = self._reader.submit(ask)
        self._questions.append(future)
        return _answer(await asyncio.wrap_future(future))

    async def _show(self, request: web.Request) -> web.Response:
        queue = self._queue()
        if queue is None:
            return _no_spool()
        text = request.match_info["instance"]
        if not text.isdecimal():
            return _refuse(400, f"an instance is identified by its number, not {text!r}: see the list of the queue")
        document = await asyncio.to_thread(queue.show, int(text))
        if document is None:
            return _refuse(
                404,
                f"instance {text} is not in the spool: it was delivered, dropped or discarded, or it never existed. "
                "The ledger of its study or its calling AE title shows which",
            )
        queue.foretell(document.deliveries)
        return _answer(document)

    async def _change(self, request: web.Request) -> web.Response:
        queue = self._queue()
        if queue is None:
            return _no_spool()
        name = request.match_info["operation"]
        operation = next((one for one in Operation if one == name), None)
        if operation is None:
            return _refuse(404, f"there is no operation {name!r}: use {', '.join(Operation)}")
        if not request[CALLER].may(operation.scope):
            return _refuse(403, f"the token is for {request[CALLER].scope}, but {operation} needs {operation.scope}")
        try:
            selection = QueueSelection.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors()[0]
            return _refuse(400, f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")
        if bool(selection.instances) == selection.all:
            return _refuse(400, "give either instances or all: true, but not both")
        narrowed = selection.model_dump(exclude={"instances", "all"}, exclude_none=True)
        told = {name: value if name != "study" else "one" for name, value in narrowed.items()}  # no UID in a log
        if operation.gives_up and selection.all and not narrowed:
            sentence = f"{operation} does not work on everything: name a destination or a state, such as DeadLettered"
            return _refuse(400, sentence)
        if sentence := queue.unknown(selection.destination):
            return _refuse(404, sentence)
        by = request[CALLER].name
        change = await asyncio.to_thread(queue.operations[operation], selection, by)
        if operation is Operation.RETRY:
            queue.hurry(selection)
        log.info(
            "queue.changed",
            operation=operation,
            by=by,
            changed=change.changed,
            all=selection.all,
            instances=selection.instances[:_LOGGED_INSTANCES],
            peer=request.remote,
            **told,
        )
        return _answer(change)

    async def _erase(self, request: web.Request) -> web.Response:
        queue = self._queue()
        if queue is None:
            return _no_spool()
        try:
            wanted = ErasureRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _refuse(400, error.errors()[0]["msg"])
        by = request[CALLER].name
        report = await asyncio.to_thread(queue.erase, wanted, by)
        named = "StudyInstanceUID" if wanted.study else "PatientID"  # never which
        audit.log.info(
            audit.EVENT, action="Erase", who=by, address=request.remote, keys=(named,), count=len(report.instances),
            deliveries=report.deliveries, bytes=report.bytes,
        )  # fmt: skip
        return _answer(report)


def _limit(request: web.Request, default: int = 100) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ValueError(f"limit must be a number from 1 to 1000, not {text!r}")
    return int(text)


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{name} must be a day such as 2026-01-31, not {text!r}") from error


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _refuse(error.status, f"{request.method} {request.path}: {error.reason}")
    except Exception:
        log.exception("admin.failed", path=request.path)
        return _refuse(500, "the gateway failed to answer; its log says why")


def _no_spool() -> web.Response:
    return _refuse(503, "the spool cannot be used; /api/v1/status says why")
