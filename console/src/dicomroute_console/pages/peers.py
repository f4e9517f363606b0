"""Nodes and targets: how they are, which routes use them, and a test of a target by a gateway that uses it."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.status import ProbeDocument
from dicomroute_console import audit
from dicomroute_console.sources.source import NODES, ROUTES, TARGETS, NotAllowed, NotFound, OutOfReach, Right

from . import model
from .asking import Me, Said, ask_route, console_of, needs
from .rendering import page

router = APIRouter()


@router.get("/nodes")
async def nodes(request: Request, me: Me) -> Response:
    """List the DicomNodes that the person may see."""
    resources = await console_of(request).source.resources(me, NODES)
    return page(request, "nodes.html", me, rows=[model.node(one) for one in resources])


@router.get("/targets")
async def targets(request: Request, me: Me) -> Response:
    """List the CloudTargets that the person may see."""
    resources = await console_of(request).source.resources(me, TARGETS)
    return page(request, "targets.html", me, rows=[model.target(one) for one in resources])


@router.get("/targets/{namespace}/{name}")
async def target(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show a target, and which routes deliver to it."""
    console = console_of(request)
    resource = await console.source.resource(me, TARGETS, namespace, name)
    may = await console.source.may(me, Right.TEST_TARGET, namespace, name)
    used = await _routes_to(request, me, namespace, name)
    return page(request, "target.html", me, one=model.target(resource), used_by=used, may_test=may, probe=None, by="")


@router.post("/targets/{namespace}/{name}/test", dependencies=[Depends(needs(Right.TEST_TARGET))])
async def test(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Let a gateway that delivers to a target test it now: name, TCP, TLS, credential, query."""
    console = console_of(request)
    resource = await console.source.resource(me, TARGETS, namespace, name)
    used = await _routes_to(request, me, namespace, name)
    if not used:
        raise NotFound(f"no route delivers to {namespace}/{name}, so no gateway has its credential: name it in a rule")
    probe, by = await _probe(request, me, namespace, name, used)
    audit.done(me, "target.test", target=f"{namespace}/{name}", by_route=by)
    return page(request, "target.html", me, one=model.target(resource), used_by=used, may_test=True, probe=probe, by=by)


async def _probe(request: Request, me: Me, namespace: str, name: str, routes: list[str]) -> tuple[ProbeDocument, str]:
    """Return what the first gateway finds that answers, and of which route it is. Raises OutOfReach."""
    problems = []
    for route in routes:
        try:
            answers: list[Said[ProbeDocument]] = await ask_route(
                console_of(request), me, namespace, route, calls.test("CloudTarget", name)
            )
        except (NotAllowed, NotFound, OutOfReach) as error:
            problems.append(f"route {route}: {error}")
            continue
        for one in answers:
            if one.document is not None:
                return one.document, route
            problems.append(f"route {route}: {one.problem}")
    raise OutOfReach("; ".join(problems))


async def _routes_to(request: Request, me: Me, namespace: str, target: str) -> list[str]:
    """Return the routes of a namespace that deliver to a target."""
    resources = await console_of(request).source.resources(me, ROUTES)
    return [
        one["metadata"]["name"]
        for one in resources
        if one["metadata"]["namespace"] == namespace and _delivers_to(one["spec"], target)
    ]


def _delivers_to(spec: Any, target: str) -> bool:
    return any(
        (one["kind"], one["name"]) == ("CloudTarget", target)
        for rule in spec.get("rules", [])
        for one in rule.get("destinations", [])
    )
