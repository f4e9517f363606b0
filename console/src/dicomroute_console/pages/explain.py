"""A dry run with a file of one's own: who admits it, which rules match, where it would go and in what form."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from dicomroute_client import calls
from dicomroute_console import audit
from dicomroute_console.sources.source import Right

from .asking import Me, ask_route, console_of, needs
from .rendering import page

router = APIRouter()
_PATH: Final = "/routes/{namespace}/{name}/explain"


@router.get(_PATH, dependencies=[Depends(needs(Right.EXPLAIN))])
async def ask(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Ask for a file and who would send it."""
    return page(request, "explain.html", me, namespace=namespace, name=name, said=None, calling="", address="")


@router.post(_PATH, dependencies=[Depends(needs(Right.EXPLAIN))])
async def explain(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    file: Annotated[UploadFile, File()],
    calling: Annotated[str, Form(max_length=16)],
    address: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Let a gateway of the route say what it would do. It keeps nothing, and neither does the console."""
    call = calls.explain(await file.read(), calling, None, address or None)
    said = (await ask_route(console_of(request), me, namespace, name, call))[0]
    audit.done(me, "explain", route=f"{namespace}/{name}", answered=said.document is not None)
    return page(
        request, "explain.html", me, namespace=namespace, name=name, said=said, calling=calling, address=address
    )
