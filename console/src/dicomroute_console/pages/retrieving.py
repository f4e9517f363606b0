"""Query and retrieve: the archives of a route and its spool, asked by its gateway; studies are sent to a DicomNode."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from dicomroute_client import calls
from dicomroute_client.documents.query import FindDocument, MoveDocument, MovesDocument
from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NotAllowed, Right

from .asking import Console, Me, Said, ask_one, ask_route, console_of, needs
from .rendering import page

router = APIRouter()
_ROUTE: Final = "/routes/{namespace}/{name}"
MATCHED: Final = {
    "PatientID": "Patient ID",
    "PatientName": "Patient's name",
    "AccessionNumber": "Accession number",
    "StudyDate": "Study date",
    "ModalitiesInStudy": "Modality",
    "StudyInstanceUID": "Study Instance UID",
}
"""What studies are looked for by: keywords (PS3.6) with what a page calls them."""
SHOWN: Final = (*MATCHED, "StudyDescription", "NumberOfStudyRelatedInstances")
MOST_MATCHES: Final = 200
Value = Annotated[str, Form(max_length=64)]


@router.get(f"{_ROUTE}/query", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def ask(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Ask what to look for."""
    return _page(request, me, (namespace, name), {}, None, [])


@router.post(f"{_ROUTE}/query", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def find(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    patient_id: Annotated[str, Form(alias="PatientID", max_length=64)] = "",
    patient_name: Annotated[str, Form(alias="PatientName", max_length=64)] = "",
    accession_number: Annotated[str, Form(alias="AccessionNumber", max_length=64)] = "",
    study_date: Annotated[str, Form(alias="StudyDate", max_length=64)] = "",
    modality: Annotated[str, Form(alias="ModalitiesInStudy", max_length=16)] = "",
    study: Annotated[str, Form(alias="StudyInstanceUID", max_length=64)] = "",
) -> Response:
    """Look for studies. What is looked for is in no address, and in no log."""
    values = (patient_id, patient_name, accession_number, study_date, modality, study)
    asked = {keyword: value.strip() for keyword, value in zip(MATCHED, values, strict=True)}
    console, route = console_of(request), (namespace, name)
    if not any(asked.values()):
        return _page(
            request, me, route, asked, None, [], "Enter at least one value: a query without one asks for everything."
        )
    said = await found(console, me, route, asked)
    nodes = await destinations(console, me, route, said.host) if said.document is not None else []
    return _page(request, me, route, asked, said, nodes)


async def found(
    console: Console, me: Person, route: tuple[str, str], asked: Mapping[str, str], limit: int = MOST_MATCHES
) -> Said[FindDocument]:
    """Let a gateway of a route look for studies. Raises NotAllowed, NotFound, OutOfReach."""
    keys = {**dict.fromkeys(SHOWN, ""), **asked}
    said = (await ask_route(console, me, *route, calls.find("STUDY", keys, limit), first=True))[0]
    count = len(said.document.matches) if said.document is not None else 0
    by = ", ".join(sorted(keyword for keyword, value in asked.items() if value))
    audit.done(me, "query", route="/".join(route), keys=by, found=count, problem=said.problem)
    return said


async def destinations(console: Console, me: Person, route: tuple[str, str], host: str) -> list[str]:
    """Return the nodes that a person may have studies sent to by a route."""
    known = await ask_one(console, me, *route, host, calls.moves())
    return [one for one in known.destinations if await console.source.may(me, Right.RETRIEVE_TO, route[0], one)]


@router.post(f"{_ROUTE}/moves", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def move(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    study: Annotated[str, Form(pattern=r"^[0-9.]{1,64}$")],
    destination: Annotated[str, Form(min_length=1, max_length=253)],
    gateway: Annotated[str, Form(max_length=64)],
) -> Response:
    """Begin to send a study to a node, and show how far that is."""
    await moved(console_of(request), me, (namespace, name), study, destination, gateway)
    return RedirectResponse(f"/routes/{namespace}/{name}/moves", 303)


async def moved(
    console: Console, me: Person, route: tuple[str, str], study: str, destination: str, host: str
) -> MoveDocument:
    """Begin to send a study to a node. Raises NotAllowed, NotFound, OutOfReach."""
    if not await console.source.may(me, Right.RETRIEVE_TO, route[0], destination):
        audit.refused(me, Right.RETRIEVE_TO, route[0], destination)
        raise NotAllowed(f"{me.name} does not have {Right.RETRIEVE_TO.sentence} on {route[0]}/{destination}")
    begun = await ask_one(console, me, *route, host, calls.move(study, destination))
    audit.done(me, "retrieve", route="/".join(route), destination=destination, number=begun.number)
    return begun


@router.get(f"{_ROUTE}/moves", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def moves(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show how far retrievals are."""
    said: list[Said[MovesDocument]] = await ask_route(console_of(request), me, namespace, name, calls.moves())
    return page(request, "moves.html", me, namespace=namespace, name=name, answers=said)


@router.post(f"{_ROUTE}/moves/{{number}}/cancel", dependencies=[Depends(needs(Right.SEE_IDENTIFIERS))])
async def cancel(
    request: Request,
    namespace: str,
    name: str,
    number: int,
    me: Me,
    gateway: Annotated[str, Form(max_length=64)],
    destination: Annotated[str, Form(min_length=1, max_length=253)],
) -> Response:
    """End a retrieval, for who may begin one to its destination."""
    console = console_of(request)
    known = (await ask_one(console, me, namespace, name, gateway, calls.moves())).moves
    to = next((one.destination for one in known if one.number == number), destination)
    if not await console.source.may(me, Right.RETRIEVE_TO, namespace, to):
        audit.refused(me, Right.RETRIEVE_TO, namespace, to)
        raise NotAllowed(f"{me.name} does not have {Right.RETRIEVE_TO.sentence} on {namespace}/{to}")
    await ask_one(console, me, namespace, name, gateway, calls.cancel_move(number))
    audit.done(me, "retrieve.cancel", route=f"{namespace}/{name}", destination=to, number=number)
    return RedirectResponse(f"/routes/{namespace}/{name}/moves", 303)


def _page(
    request: Request,
    me: Person,
    route: tuple[str, str],
    asked: Mapping[str, str],
    said: Said[FindDocument] | None,
    nodes: list[str],
    problem: str = "",
) -> Response:
    return page(
        request,
        "query.html",
        me,
        namespace=route[0],
        name=route[1],
        fields=MATCHED,
        asked=asked,
        said=said,
        nodes=nodes,
        problem=problem,
    )
