"""Queries and retrievals of persons, and the record of all of them, as the API takes and answers them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web
from pydantic import ValidationError

from dicomroute_client.documents.query import (
    AuditDocument,
    AuditTrailDocument,
    FindDocument,
    FindRequest,
    MoveDocument,
    MoveRequest,
    MovesDocument,
)
from dicomroute_gateway import audit
from dicomroute_gateway.decoded import Level
from dicomroute_gateway.query.person import ForPersons, Moved, NotServed, Person

from .answers import answer, refuse
from .entrance import CALLER

_LEVELS = (Level.STUDY, Level.SERIES)


class Retrieving:
    """Handlers; `persons` returns None while there is no usable spool."""

    def __init__(self, persons: Callable[[], ForPersons | None]) -> None:
        self._persons = persons

    async def find(self, request: web.Request) -> web.Response:
        """Look for studies or series."""
        persons = self._persons()
        if persons is None:
            return _no_spool()
        try:
            wanted = FindRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _not_valid(error)
        if wanted.level not in _LEVELS:
            return refuse(400, f"level must be one of {', '.join(_LEVELS)}")
        try:
            found = await asyncio.to_thread(
                persons.find, _person(request), Level(wanted.level), wanted.keys, wanted.limit
            )
        except NotServed as error:
            return refuse(409, str(error))
        return answer(
            FindDocument(
                matches=found.matches,
                status=f"{found.status:04X}",
                comment=found.comment,
                truncated=found.is_truncated,
            )
        )

    async def move(self, request: web.Request) -> web.Response:
        """Begin a retrieval."""
        persons = self._persons()
        if persons is None:
            return _no_spool()
        try:
            wanted = MoveRequest.model_validate_json(await request.read())
        except ValidationError as error:
            return _not_valid(error)
        series = wanted.series_instance_uid or ""
        try:
            begun = persons.move(_person(request), wanted.study_instance_uid, series, wanted.destination)
        except NotServed as error:
            return refuse(409, str(error))
        return answer(move_document(begun))

    async def moves(self, request: web.Request) -> web.Response:
        """List retrievals of persons."""
        persons = self._persons()
        if persons is None:
            return _no_spool()
        known = [move_document(one) for one in persons.moves()]
        return answer(MovesDocument(moves=known, destinations=persons.destinations()))

    async def cancel(self, request: web.Request) -> web.Response:
        """End a retrieval."""
        persons = self._persons()
        if persons is None:
            return _no_spool()
        text = request.match_info["number"]
        found = persons.cancel(int(text)) if text.isdecimal() else None
        if found is None:
            return refuse(404, f"there is no retrieval {text}: the gateway may have been restarted since")
        return answer(move_document(found))

    async def trail(self, _request: web.Request) -> web.Response:
        """List who queried and retrieved."""
        records = [
            AuditDocument(
                time=datetime.fromtimestamp(round(time, 3), UTC),
                action=one.action,
                who=one.who,
                address=one.address,
                listener=one.listener,
                calling_ae_title=one.calling_ae_title,
                query_level=one.query_level,
                keys=list(one.keys),
                count=one.count,
                status=one.status,
                asked=list(one.asked),
                destination=one.destination,
            )
            for time, one in audit.newest()
        ]
        return answer(AuditTrailDocument(records=records))


def move_document(moved: Moved) -> MoveDocument:
    """Return a retrieval as the API answers it."""
    counts, final = moved.ear.counts, moved.ear.final
    ended = moved.ended_time
    return MoveDocument(
        number=moved.number,
        state=moved.state,
        by=moved.by,
        destination=moved.destination,
        study_instance_uid=moved.study_instance_uid,
        series_instance_uid=moved.series_instance_uid,
        begun_time=datetime.fromtimestamp(round(moved.begun_time, 3), UTC),
        ended_time=datetime.fromtimestamp(round(ended, 3), UTC) if ended is not None else None,
        remaining=counts.remaining if counts is not None else None,
        completed=counts.completed if counts is not None else 0,
        failed=counts.failed if counts is not None else 0,
        warning=counts.warning if counts is not None else 0,
        status=f"{final.status:04X}" if final is not None else "",
        comment=final.comment if final is not None else "",
    )


def _person(request: web.Request) -> Person:
    return Person(request[CALLER].name, request.remote or "127.0.0.1")


def _not_valid(error: ValidationError) -> web.Response:
    first = error.errors()[0]
    return refuse(400, f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")


def _no_spool() -> web.Response:
    return refuse(503, "the spool cannot be used; /api/v1/status says why")
