"""The calls of the user API. Each asks for the same right as the page that shows or does the same."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import APIRouter, Body, Depends, Header, Query, Request

from dicomroute_client import calls
from dicomroute_client.calls import Operation
from dicomroute_client.documents.document import Document
from dicomroute_client.documents.explain import ExplanationDocument
from dicomroute_client.documents.query import FindDocument, MoveDocument
from dicomroute_client.documents.queue import InstanceDocument
from dicomroute_console import audit
from dicomroute_console.pages import model, peers, retrieving
from dicomroute_console.pages.asking import Me, Said, ask_one, ask_route, console_of, needs
from dicomroute_console.pages.configuration import moded
from dicomroute_console.pages.erasing import erased
from dicomroute_console.pages.queue import RIGHTS, Meant, decided
from dicomroute_console.pages.routes import rows_of, view_of
from dicomroute_console.pages.studies import MOST_INSTANCES, Text, ask_all, found
from dicomroute_console.sources.source import NODES, TARGETS, OutOfReach, Right

from . import documents
from .once import Once

PREFIX: Final = "/api/v1"
D = TypeVar("D", bound=Document)
_ROUTE: Final = "/routes/{namespace}/{name}"
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": documents.Problem, "description": what}
    for code, what in (
        (400, "The request is not complete, or no request of a program."),
        (401, "The credential is not valid."),
        (403, "A right is missing; the sentence names it."),
        (404, "There is no such thing, or not for you."),
        (502, "A gateway, the API server or an issuer does not answer."),
    )
}
_WRITES: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": documents.Problem, "description": "The first request with this Idempotency-Key is being answered."},
    422: {"model": documents.Problem, "description": "The Idempotency-Key came with another request."},
}
router = APIRouter(prefix=PREFIX, responses=_PROBLEMS)
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        description="A text of your own: a request that is repeated with it is made once, for 24 hours, until the "
        "console starts again.",
    ),
]


@router.get("/routes", operation_id="listRoutes")
async def routes(request: Request, me: Me) -> list[documents.RouteSummary]:
    """List the routes that you may see."""
    return [
        documents.RouteSummary.model_validate(one, from_attributes=True)
        for one in await rows_of(console_of(request), me)
    ]


@router.get(_ROUTE, operation_id="getRoute")
async def route(request: Request, namespace: str, name: str, me: Me) -> documents.Route:
    """Return a route, with what its gateways say if you may `get dicomroutes/queue`."""
    seen = await view_of(console_of(request), me, namespace, name)
    return documents.Route(
        namespace=namespace,
        name=name,
        conditions=_conditions(seen.conditions),
        gateways=_said(seen.answers),
        gateways_problem=seen.gateways_problem,
    )


@router.get(f"{_ROUTE}/queue", operation_id="listQueue", dependencies=[Depends(needs(Right.SEE_QUEUE))])
async def queue(
    request: Request, namespace: str, name: str, me: Me, meant: Meant, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> documents.Queue:
    """List deliveries that fit a filter, oldest first."""
    answers = await ask_route(console_of(request), me, namespace, name, meant.call(limit))
    return documents.Queue(gateways=_said(answers))


@router.get(
    f"{_ROUTE}/gateways/{{host}}/instances/{{instance}}",
    operation_id="getInstance",
    dependencies=[Depends(needs(Right.SEE_QUEUE))],
)
async def instance(request: Request, namespace: str, name: str, host: str, instance: int, me: Me) -> InstanceDocument:
    """Return all that a gateway knows of an instance in its spool."""
    return await ask_one(console_of(request), me, namespace, name, host, calls.instance(instance))


@router.get(f"{_ROUTE}/refused", operation_id="listRefused", dependencies=[Depends(needs(Right.SEE_QUEUE))])
async def refused(request: Request, namespace: str, name: str, me: Me) -> documents.Refused:
    """List who was refused since the gateways started."""
    return documents.Refused(gateways=_said(await ask_route(console_of(request), me, namespace, name, calls.refused())))


@router.post(f"{_ROUTE}/explain", operation_id="explain", dependencies=[Depends(needs(Right.EXPLAIN))])
async def explain(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    content: Annotated[bytes, Body(media_type="application/dicom")],
    calling: Annotated[str, Query(max_length=16)],
    address: Annotated[str, Query(max_length=64)] = "",
) -> ExplanationDocument:
    """Return what would become of a DICOM file that this caller sends. It is kept nowhere."""
    call = calls.explain(content, calling, None, address or None)
    said = (await ask_route(console_of(request), me, namespace, name, call))[0]
    audit.done(me, "explain", route=f"{namespace}/{name}", answered=said.document is not None)
    if said.document is None:
        raise OutOfReach(said.problem)
    return said.document


@router.post(f"{_ROUTE}/erase", operation_id="erase", dependencies=[Depends(needs(Right.ERASE))], responses=_WRITES)
async def erase(
    request: Request, namespace: str, name: str, me: Me, meant: documents.Erasure, key: Key = ""
) -> documents.Erased:
    """Erase a study or a patient from the spools of a route. What was delivered stays where it is."""

    async def write() -> Document:
        said = await erased(console_of(request), me, (namespace, name), meant.study, meant.patient, meant.why)
        return documents.Erased(gateways=_said(said))

    asked = f"{request.method} {request.url.path} {meant.model_dump_json()}".encode()
    once: Once = request.app.state.once
    return cast(documents.Erased, await once.make(me.name, key, asked, write))


@router.get("/studies", operation_id="listStudies")
async def studies(
    request: Request,
    me: Me,
    study: Text = "",
    calling: Annotated[str, Query(max_length=16)] = "",
    day: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
) -> documents.Studies:
    """Find studies by their UID, or by who sent them and when, at all gateways that you may ask."""
    call = calls.ledger(
        study=study or None,
        calling=calling or None,
        first_day=day or None,
        last_day=day or None,
        limit=MOST_INSTANCES,
    )
    answers, unasked = await ask_all(console_of(request), me, call)
    items = [documents.StudySummary.model_validate(one, from_attributes=True) for one in model.studies(found(answers))]
    return documents.Studies(items=items, unasked=unasked, problems=_problems(answers))


@router.get("/studies/{uid}", operation_id="getStudy")
async def study(request: Request, uid: str, me: Me) -> documents.Study:
    """Return where a study is and what became of it."""
    answers, unasked = await ask_all(console_of(request), me, calls.ledger(study=uid[:64], limit=MOST_INSTANCES))
    known = model.study(uid, found(answers))
    parts = []
    for part in known.parts:
        deliveries = [
            documents.Delivered(destination=where, state=state, reason=reason, count=count)
            for where, state, reason, count in part.deliveries
        ]
        parts.append(documents.StudyPart(**{**vars(part), "deliveries": deliveries}))
    return documents.Study(
        uid=uid,
        verdict=known.verdict,
        is_settled=known.is_settled,
        parts=parts,
        events=[documents.StudyEvent.model_validate(one, from_attributes=True) for one in known.events],
        more_events=known.more_events,
        unasked=unasked,
        problems=_problems(answers),
    )


@router.get("/nodes", operation_id="listNodes")
async def nodes(request: Request, me: Me) -> list[documents.Node]:
    """List the DicomNodes that you may see."""
    resources = await console_of(request).source.resources(me, NODES)
    return [documents.Node.model_validate(model.node(one), from_attributes=True) for one in resources]


@router.get("/targets", operation_id="listTargets")
async def targets(request: Request, me: Me) -> list[documents.Target]:
    """List the CloudTargets that you may see."""
    resources = await console_of(request).source.resources(me, TARGETS)
    return [documents.Target.model_validate(model.target(one), from_attributes=True) for one in resources]


@router.post("/nodes/{namespace}/{name}/test", operation_id="testNode", dependencies=[Depends(needs(Right.TEST_NODE))])
async def probe_node(
    request: Request, namespace: str, name: str, me: Me, calling: Annotated[str, Query(max_length=16)] = ""
) -> documents.Tested:
    """Let a gateway that delivers to a node test it now by C-ECHO."""
    probe, by = await peers.tested(console_of(request), me, peers.NODE, (namespace, name), calling.strip())
    return documents.Tested(route=by, probe=probe)


@router.post(
    "/targets/{namespace}/{name}/test", operation_id="testTarget", dependencies=[Depends(needs(Right.TEST_TARGET))]
)
async def probe_target(request: Request, namespace: str, name: str, me: Me) -> documents.Tested:
    """Let a gateway that delivers to a target test it now: name, TCP, TLS, credential, query."""
    probe, by = await peers.tested(console_of(request), me, peers.TARGET, (namespace, name), "")
    return documents.Tested(route=by, probe=probe)


@router.post(
    f"{_ROUTE}/mode", operation_id="setMode", dependencies=[Depends(needs(Right.EDIT_ROUTE))], responses=_WRITES
)
async def set_mode(
    request: Request, namespace: str, name: str, me: Me, change: documents.ModeChange, key: Key = ""
) -> documents.Applied:
    """Hold or resume a route or a part of it: server-side apply, never forced. See `problem`."""

    async def write() -> Document:
        tried = await moded(
            console_of(request),
            me,
            (namespace, name),
            change.field,
            change.to,
            why=change.why.strip(),
            dry_run=change.dry_run,
        )
        owners = [documents.FieldOwner(field=field, message=message) for field, message in tried.owners]
        return documents.Applied(
            problem=tried.problem, owners=owners, difference=tried.difference, is_written=tried.is_written
        )

    asked = f"{request.method} {request.url.path} {change.model_dump_json()}".encode()
    once: Once = request.app.state.once
    return cast(documents.Applied, await once.make(me.name, key, asked, write))


@router.post(f"{_ROUTE}/query", operation_id="queryArchives", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def query(
    request: Request, namespace: str, name: str, me: Me, wanted: documents.Query
) -> documents.FromGateway[FindDocument]:
    """Look for studies in the archives of a route and in its spool. Answers have names of patients."""
    said = await retrieving.found(console_of(request), me, (namespace, name), wanted.keys, wanted.limit)
    return _said([said])[0]


@router.get(f"{_ROUTE}/moves", operation_id="listRetrievals", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def list_moves(request: Request, namespace: str, name: str, me: Me) -> documents.Retrievals:
    """List the retrievals that people have begun, with their progress."""
    answers = await ask_route(console_of(request), me, namespace, name, calls.moves())
    return documents.Retrievals(gateways=_said(answers))


@router.post(
    f"{_ROUTE}/moves",
    operation_id="retrieveStudy",
    dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))],
    responses=_WRITES,
)
async def retrieve(
    request: Request, namespace: str, name: str, me: Me, wanted: documents.Retrieve, key: Key = ""
) -> MoveDocument:
    """Begin to send a study from the archives of a route to a DicomNode."""
    where = (namespace, name)

    async def write() -> Document:
        return await retrieving.moved(console_of(request), me, where, wanted.study, wanted.destination, wanted.gateway)

    asked = f"{request.method} {request.url.path} {wanted.model_dump_json()}".encode()
    once: Once = request.app.state.once
    return cast(MoveDocument, await once.make(me.name, key, asked, write))


def _deciding(operation: Operation) -> Callable[..., Awaitable[documents.Changed]]:
    async def decide(
        request: Request,
        namespace: str,
        name: str,
        me: Me,
        meant: Meant,
        decision: Annotated[documents.Decision, Body(default_factory=documents.Decision)],
        key: Key = "",
    ) -> documents.Changed:
        async def write() -> Document:
            changed = await decided(console_of(request), me, (namespace, name), operation, meant, decision.why)
            said = [Said(namespace, name, host, document, problem) for host, document, problem in changed]
            return documents.Changed(gateways=_said(said))

        once: Once = request.app.state.once
        asked = f"{request.method} {request.url.path}?{request.url.query} {decision.why}".encode()
        return cast(documents.Changed, await once.make(me.name, key, asked, write))

    return decide


for _operation, _right in RIGHTS.items():
    router.post(
        f"{_ROUTE}/queue/{_operation}",
        operation_id=f"{_operation}Deliveries",
        description=_operation.summary,
        dependencies=[Depends(needs(_right))],
        responses=_WRITES,
        response_model=documents.Changed,
    )(_deciding(_operation))


def _conditions(rows: Sequence[model.ConditionRow]) -> list[documents.Condition]:
    return [documents.Condition.model_validate(one, from_attributes=True) for one in rows]


def _said(answers: Sequence[Said[D]]) -> list[documents.FromGateway[D]]:
    return [documents.FromGateway[D](host=one.host, problem=one.problem, document=one.document) for one in answers]


def _problems(answers: Sequence[Said[Any]]) -> list[str]:
    return [f"{one.namespace}/{one.name}: {one.problem}" for one in answers if one.document is None]
