"""Who decided what: the records of the console's log since it started, of what the person who looks may audit."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.query import AuditDocument
from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import Right

from .asking import Console, Me, ask_routes, console_of
from .rendering import page

router = APIRouter()
_SHOWN: Final = 200
_NOT_ALLOWED: Final = ("0124",)
"""Not authorized (PS3.7 annex C): the final status of who may not ask."""


@router.get("/audit")
async def show(
    request: Request,
    me: Me,
    by: Annotated[str, Query(max_length=256)] = "",
    about: Annotated[str, Query(max_length=320)] = "",
) -> Response:
    """List decisions, tests, changes and refusals, the newest first; one's own, and those of objects one may audit."""
    console = console_of(request)
    theirs, problems = await _of_gateways(console, me, about.strip())
    found = [
        one
        for one in (*audit.kept.newest(), *theirs)
        if by.strip() in one.by and about.strip() in one.object and await _may_see(console, me, one)
    ]
    found.sort(key=lambda one: one.time, reverse=True)
    more = len(found) > _SHOWN
    return page(request, "audit.html", me, records=found[:_SHOWN], more=more, by=by, about=about, problems=problems)


async def _of_gateways(console: Console, me: Person, about: str) -> tuple[list[audit.Record], list[str]]:
    """Return who queried and retrieved at the gateways of one route, and why one of them does not say."""
    namespace, _, name = about.partition("/")
    if not name or not await console.source.may(me, Right.AUDIT, namespace, name):
        return [], []
    answers = await ask_routes(console, me, [(namespace, name)], calls.audit())
    records = [
        audit.Record(
            one.time,
            one.who or f"{one.calling_ae_title} at {one.address}",
            f"gateway: {one.action}",
            about,
            one.status in _NOT_ALLOWED,
            _facts(one),
        )
        for answer in answers
        if answer.document is not None
        for one in answer.document.records
    ]
    return records, [answer.problem for answer in answers if answer.document is None]


def _facts(one: AuditDocument) -> dict[str, Any]:
    found = {
        "level": one.query_level,
        "keys": ", ".join(one.keys),
        "count": one.count,
        "status": one.status,
        "asked": ", ".join(one.asked),
        "destination": one.destination,
    }
    return {name: value for name, value in found.items() if value != ""}


async def _may_see(console: Console, me: Person, record: audit.Record) -> bool:
    if record.by == me.name:
        return True
    namespace, _, name = record.object.partition("/")
    return bool(name) and await console.source.may(me, Right.AUDIT, namespace, name)
