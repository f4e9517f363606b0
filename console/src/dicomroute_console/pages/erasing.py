"""Erases a study or a patient from the spools of a route: what is named comes in the form, never in an address."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from dicomroute_client import calls
from dicomroute_client.documents.erase import ErasureReport
from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NotAllowed, Right

from .asking import Console, Me, Said, ask_route, console_of, needs
from .rendering import page

router = APIRouter()
_PATH: Final = "/routes/{namespace}/{name}/erase"


@router.get(_PATH, dependencies=[Depends(needs(Right.ERASE))])
async def ask(
    request: Request, namespace: str, name: str, me: Me, study: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Ask what is to be erased, and why."""
    return page(request, "erase.html", me, namespace=namespace, name=name, study=study, answers=None)


@router.post(_PATH, dependencies=[Depends(needs(Right.ERASE))])
async def erase(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    why: Annotated[str, Form(max_length=500)],
    study: Annotated[str, Form(max_length=64)] = "",
    patient: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Erase it, and say what that was at each gateway."""
    answers = await erased(console_of(request), me, (namespace, name), study.strip(), patient.strip(), why)
    return page(request, "erase.html", me, namespace=namespace, name=name, study="", answers=answers)


async def erased(
    console: Console, me: Person, route: tuple[str, str], study: str, patient: str, why: str
) -> list[Said[ErasureReport]]:
    """Erase a study or a patient at all gateways of a route; the audit says by what it was named, never its value.

    Raises NotAllowed without a reason, or where not exactly one of them is named.
    """
    if bool(study) == bool(patient):
        raise NotAllowed("name a study or a patient, and not both")
    if not why.strip():
        raise NotAllowed("say why it is erased: the reason is kept in the console's log")
    answers = await ask_route(console, me, *route, calls.erase(study, patient))
    reports = [one.document for one in answers if one.document is not None]
    audit.done(
        me,
        "erase",
        route="/".join(route),
        by_attribute="StudyInstanceUID" if study else "PatientID",
        instances=sum(len(one.instances) for one in reports),
        deliveries=sum(one.deliveries for one in reports),
        unread=sum(len(one.unread) for one in reports),
        problems=[one.problem for one in answers if one.document is None],
        why=why.strip(),
    )
    return answers
