"""Nodes and targets: how they are, which routes use them, and a test of each by a gateway that delivers to it."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.status import ProbeDocument
from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NODES, ROUTES, TARGETS, NotAllowed, NotFound, OutOfReach, Right

from . import model
from .asking import Console, Me, Said, ask_route, console_of, needs
from .rendering import page

router = APIRouter()


@dataclass(frozen=True)
class Kind:
    """A kind of destination: where it is found, the right to test one, and its page."""

    kind: str
    plural: str
    right: Right
    template: str


NODE: Final = Kind("DicomNode", NODES, Right.TEST_NODE, "node.html")
TARGET: Final = Kind("CloudTarget", TARGETS, Right.TEST_TARGET, "target.html")


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


@router.get("/nodes/{namespace}/{name}")
async def node(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show a node, and which routes deliver to it."""
    return await _show(request, me, NODE, namespace, name)


@router.get("/targets/{namespace}/{name}")
async def target(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show a target, and which routes deliver to it."""
    return await _show(request, me, TARGET, namespace, name)


@router.post("/nodes/{namespace}/{name}/test", dependencies=[Depends(needs(Right.TEST_NODE))])
async def probe_node(
    request: Request, namespace: str, name: str, me: Me, calling: Annotated[str, Form(max_length=16)] = ""
) -> Response:
    """Let a gateway that delivers to a node test it now by C-ECHO, with a calling AE title of one's choice."""
    return await _test(request, me, NODE, namespace, name, calling.strip())


@router.post("/targets/{namespace}/{name}/test", dependencies=[Depends(needs(Right.TEST_TARGET))])
async def probe_target(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Let a gateway that delivers to a target test it now: name, TCP, TLS, credential, query."""
    return await _test(request, me, TARGET, namespace, name)


async def _show(request: Request, me: Me, kind: Kind, namespace: str, name: str) -> Response:
    console = console_of(request)
    resource = await console.source.resource(me, kind.plural, namespace, name)
    may = await console.source.may(me, kind.right, namespace, name)
    used = await _routes_to(console, me, kind, namespace, name)
    return page(request, kind.template, me, one=row(kind, resource), used_by=used, may_test=may, probe=None, by="")


async def _test(request: Request, me: Me, kind: Kind, namespace: str, name: str, calling: str = "") -> Response:
    console = console_of(request)
    one = row(kind, await console.source.resource(me, kind.plural, namespace, name))
    used = await _routes_to(console, me, kind, namespace, name)
    probe, by = await tested(console, me, kind, (namespace, name), calling)
    return page(request, kind.template, me, one=one, used_by=used, may_test=True, probe=probe, by=by)


async def tested(
    console: Console, me: Person, kind: Kind, what: tuple[str, str], calling: str
) -> tuple[ProbeDocument, str]:
    """Let a gateway test a destination, by its namespace and name; return what it finds, and of which route it is."""
    namespace, name = what
    used = await _routes_to(console, me, kind, namespace, name)
    if not used:
        raise NotFound(f"no route delivers to {namespace}/{name}, so no gateway tests it: name it in a rule")
    probe, by = await _probe(console, me, namespace, used, calls.probe(kind.kind, name, calling))
    audit.done(me, "test", kind=kind.kind, object=f"{namespace}/{name}", by_route=by, calling_ae_title=calling)
    return probe, by


def row(kind: Kind, resource: Any) -> model.NodeRow | model.TargetRow:
    """Return what is shown of a resource of a kind."""
    return model.node(resource) if kind is NODE else model.target(resource)


async def _probe(
    console: Console, me: Person, namespace: str, routes: list[str], call: calls.Call[ProbeDocument]
) -> tuple[ProbeDocument, str]:
    """Return what the first gateway finds that answers, and of which route it is. Raises OutOfReach."""
    problems = []
    for route in routes:
        try:
            answers: list[Said[ProbeDocument]] = await ask_route(console, me, namespace, route, call)
        except (NotAllowed, NotFound, OutOfReach) as error:
            problems.append(f"route {route}: {error}")
            continue
        for one in answers:
            if one.document is not None:
                return one.document, route
            problems.append(f"route {route}: {one.problem}")
    raise OutOfReach("; ".join(problems))


async def _routes_to(console: Console, me: Person, kind: Kind, namespace: str, name: str) -> list[str]:
    """Return the routes of a namespace whose rules name a destination."""
    resources = await console.source.resources(me, ROUTES)
    return [
        one["metadata"]["name"]
        for one in resources
        if one["metadata"]["namespace"] == namespace and _delivers_to(one["spec"], kind.kind, name)
    ]


def _delivers_to(spec: Any, kind: str, name: str) -> bool:
    return any(
        (one["kind"], one["name"]) == (kind, name)
        for rule in spec.get("rules") or []
        for one in rule.get("destinations") or []
    )
