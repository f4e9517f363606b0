"""Who decided what: the records of the console's log since it started, of what the person who looks may audit."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import Right

from .asking import Console, Me, console_of
from .rendering import page

router = APIRouter()
_SHOWN = 200


@router.get("/audit")
async def show(
    request: Request,
    me: Me,
    by: Annotated[str, Query(max_length=256)] = "",
    about: Annotated[str, Query(max_length=320)] = "",
) -> Response:
    """List decisions, tests, changes and refusals, the newest first; one's own, and those of objects one may audit."""
    console = console_of(request)
    found = [
        one
        for one in audit.kept.newest()
        if by.strip() in one.by and about.strip() in one.object and await _may_see(console, me, one)
    ]
    return page(request, "audit.html", me, records=found[:_SHOWN], more=len(found) > _SHOWN, by=by, about=about)


async def _may_see(console: Console, me: Person, record: audit.Record) -> bool:
    if record.by == me.name:
        return True
    namespace, _, name = record.object.partition("/")
    return bool(name) and await console.source.may(me, Right.AUDIT, namespace, name)
