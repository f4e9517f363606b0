"""Signing in and out."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response

from dicomroute_console import audit
from dicomroute_console.signin.sessions import ABSOLUTE_SECONDS
from dicomroute_console.sources.source import NotAllowed, NotKnown, OutOfReach

from .asking import console_of
from .rendering import page

router = APIRouter()
_WRONG_SECONDS: Final = 0.5


@router.get("/sign-in")
async def ask(request: Request) -> Response:
    """Ask for a token."""
    return page(request, "sign_in.html", None, problem="")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    token: Annotated[str, Form(max_length=16_384)] = "",
    namespaces: Annotated[str, Form(max_length=4096)] = "",
) -> Response:
    """Begin a session, if the token is one."""
    console = console_of(request)
    console.sessions.end(request.cookies.get(console.settings.cookie, ""))
    try:
        person = await console.source.person(token.strip(), namespaces.replace(",", " ").split())
    except (NotKnown, NotAllowed, OutOfReach) as error:
        await asyncio.sleep(_WRONG_SECONDS)
        return page(request, "sign_in.html", None, code=401, problem=str(error))
    audit.done(person, "sign-in")
    response = Response(status_code=303, headers={"Location": "/"})
    response.set_cookie(
        console.settings.cookie,
        console.sessions.begin(person),
        max_age=ABSOLUTE_SECONDS,
        secure=not console.settings.is_local,
        httponly=True,
        samesite="strict",
        path="/",
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session."""
    console = console_of(request)
    console.sessions.end(request.cookies.get(console.settings.cookie, ""))
    response = Response(status_code=303, headers={"Location": "/sign-in"})
    response.delete_cookie(
        console.settings.cookie, path="/", secure=not console.settings.is_local, httponly=True, samesite="strict"
    )
    return response
