"""All routes, and one route: its conditions and numbers, listeners, destinations, spool, and who was refused."""

from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.status import StatusDocument
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import ROUTES, NotAllowed, NotFound, OutOfReach, Right

from .asking import Console, Me, Said, ask_route, ask_routes, console_of, needs
from .model import ConditionRow, RouteRow, conditions, row_of_problem, row_of_resource, row_of_status, titles
from .rendering import page

router = APIRouter()


@router.get("/")
async def every(request: Request, me: Me) -> Response:
    """List the routes that the person may see. In a cluster their status says all: no gateway is asked."""
    return page(request, "routes.html", me, rows=await rows_of(console_of(request), me))


async def rows_of(console: Console, me: Person) -> list[RouteRow]:
    """Return the routes that a person may see."""
    resources = await console.source.resources(me, ROUTES)
    if not console.settings.is_local:
        return [row_of_resource(one) for one in resources]
    names = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in resources]
    said = await ask_routes(console, me, names, calls.status())
    return [
        row_of_status(resource, one.document) if one.document is not None else row_of_problem(resource, one.problem)
        for resource, one in zip(resources, said, strict=True)
    ]


@router.get("/routes/{namespace}/{name}")
async def one(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show a route: as its resource has it, and for those who may as its gateways say."""
    seen = await view_of(console_of(request), me, namespace, name)
    return page(request, "route.html", me, namespace=namespace, name=name, **vars(seen))


@dataclass(frozen=True)
class View:
    """A route: its conditions, the AE titles of its listeners, and what its gateways say, or why they say nothing."""

    conditions: list[ConditionRow]
    titles: dict[str, str]
    answers: list[Said[StatusDocument]]
    gateways_problem: str


async def view_of(console: Console, me: Person, namespace: str, name: str) -> View:
    """Return a route as its resource has it, and for those who may as its gateways say."""
    resource = await console.source.resource(me, ROUTES, namespace, name)
    problem = ""
    answers: list[Said[StatusDocument]] = []
    if await console.source.may(me, Right.SEE_QUEUE, namespace, name):
        try:
            answers = await ask_route(console, me, namespace, name, calls.status())
        except (NotAllowed, NotFound, OutOfReach) as error:
            problem = str(error)
    else:
        problem = f"You do not have {Right.SEE_QUEUE.sentence} on this route, so its gateways are not asked."
    return View(conditions(resource), titles(resource), answers, problem)


@router.get("/routes/{namespace}/{name}/refused", dependencies=[Depends(needs(Right.SEE_QUEUE))])
async def refused(request: Request, namespace: str, name: str, me: Me) -> Response:
    """List who was refused since the gateways started."""
    answers = await ask_route(console_of(request), me, namespace, name, calls.refused())
    return page(request, "refused.html", me, namespace=namespace, name=name, answers=answers)
