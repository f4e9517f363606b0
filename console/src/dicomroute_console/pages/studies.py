"""One answer for a study: where it is and what became of it, across all gateways that a person may ask."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.ledger import LedgerDocument
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import ROUTES, Right

from .asking import Console, Me, Said, ask_routes, console_of
from .model import Found, studies, study
from .rendering import page

router = APIRouter()
MOST_INSTANCES: Final = 1000
Text = Annotated[str, Query(max_length=64)]


@router.get("/studies")
async def find(
    request: Request,
    me: Me,
    study: Text = "",
    calling: Annotated[str, Query(max_length=16)] = "",
    day: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
) -> Response:
    """Find studies by their UID, or by who sent them and when."""
    if not (study or calling):
        return page(request, "studies.html", me, rows=None, answers=[], unasked=[], study="", calling="", day=day)
    call = calls.ledger(
        study=study or None, calling=calling or None, first_day=day or None, last_day=day or None, limit=MOST_INSTANCES
    )
    answers, unasked = await ask_all(console_of(request), me, call)
    return page(
        request,
        "studies.html",
        me,
        rows=studies(found(answers)),
        answers=answers,
        unasked=unasked,
        study=study,
        calling=calling,
        day=day,
    )


@router.get("/studies/{uid}")
async def one(request: Request, uid: str, me: Me) -> Response:
    """Show a study: its parts at each gateway, its deliveries, and what happened in its order."""
    console = console_of(request)
    answers, unasked = await ask_all(console, me, calls.ledger(study=uid[:64], limit=MOST_INSTANCES))
    known = study(uid, found(answers))
    routes = {(part.namespace, part.name) for part in known.parts}
    erasable = [route for route in routes if await console.source.may(me, Right.ERASE, *route)]
    return page(request, "study.html", me, study=known, answers=answers, unasked=unasked, erasable=erasable)


async def ask_all(
    console: Console, me: Person, call: calls.Call[LedgerDocument]
) -> tuple[list[Said[LedgerDocument]], list[str]]:
    """Return what gateways answer, and the routes that the person may not ask."""
    routes = [
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in await console.source.resources(me, ROUTES)
    ]
    asked = [one for one in routes if await console.source.may(me, Right.SEE_STUDIES, *one)]
    unasked = ["/".join(one) for one in routes if one not in asked]
    return await ask_routes(console, me, asked, call), unasked


def found(answers: list[Said[LedgerDocument]]) -> list[Found]:
    """Return what those gateways know that answered."""
    return [
        Found(one.namespace, one.name, one.host, one.document.items, one.document.truncated)
        for one in answers
        if one.document is not None
    ]
