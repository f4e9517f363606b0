"""Signing in and out: with a token of the cluster, at an issuer, or as a local user."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response

from dicomroute_console import audit
from dicomroute_console.signin.code_flow import PENDING_SECONDS
from dicomroute_console.signin.guard import is_of_this_machine
from dicomroute_console.signin.sessions import ABSOLUTE_SECONDS
from dicomroute_console.sources.person import NotKnown, Person
from dicomroute_console.sources.source import NotAllowed, NotFound, OutOfReach

from .asking import Console, console_of
from .rendering import page

router = APIRouter()
_WRONG_SECONDS: Final = 0.5
_CALLBACK: Final = "/sign-in/callback"


@router.get("/sign-in")
async def ask(request: Request) -> Response:
    """Ask who it is."""
    return _form(request, 200, "")


@router.post("/sign-in")
async def sign_in(
    request: Request,
    token: Annotated[str, Form(max_length=16_384)] = "",
    namespaces: Annotated[str, Form(max_length=4096)] = "",
    user: Annotated[str, Form(max_length=256)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Begin a session, if the token is one, or the password that of the user."""
    console = console_of(request)
    console.sessions.end(request.cookies.get(console.settings.cookie, ""))
    try:
        if user:
            if console.doors.users is None:
                raise NotKnown("there are no local users here")
            person = await console.doors.users.person(user, password)
        else:
            person = await console.source.person(token.strip(), namespaces.replace(",", " ").split())
    except (NotKnown, NotAllowed, OutOfReach) as error:
        await asyncio.sleep(_WRONG_SECONDS)
        return _form(request, 401, str(error))
    response = Response(status_code=303, headers={"Location": "/"})
    _begin(console, response, person, "")
    return response


@router.get("/sign-in/oidc")
async def leave(request: Request) -> Response:
    """Send a browser to the issuer. A link leads here: the policy of the pages lets no form lead elsewhere."""
    console = console_of(request)
    if console.doors.flow is None:
        raise NotFound("sign-in at an issuer is not configured")
    try:
        started = await console.doors.flow.start(_origin(request) + _CALLBACK)
    except OutOfReach as error:
        return _form(request, 502, str(error))
    response = Response(status_code=303, headers={"Location": started.url})
    response.set_cookie(
        _pending(console),
        started.sealed,
        max_age=PENDING_SECONDS,
        secure=not console.settings.is_local,
        httponly=True,
        samesite="lax",  # it has to come along when the issuer sends the browser back
        path="/",
    )
    return response


@router.get(_CALLBACK)
async def come_back(
    request: Request,
    state: Annotated[str, Query(max_length=256)] = "",
    code: Annotated[str, Query(max_length=8192)] = "",
    iss: Annotated[str, Query(max_length=2048)] = "",
    error: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Begin a session for who comes back from the issuer."""
    console = console_of(request)
    if console.doors.flow is None:
        raise NotFound("sign-in at an issuer is not configured")
    console.sessions.end(request.cookies.get(console.settings.cookie, ""))
    response: Response
    try:
        if error:
            raise NotKnown(f"{console.doors.flow.provider.name} says: {error}")
        known = await console.doors.flow.finish(request.cookies.get(_pending(console), ""), state, code, iss)
    except NotKnown as why:
        response = _form(request, 401, str(why))
    except OutOfReach as why:
        response = _form(request, 502, str(why))
    else:
        # A redirect from another site would not bring a strict cookie along; a page of ours does.
        response = page(request, "onward.html", None, address="/", title="Signed in", to="the routes")
        _begin(console, response, known.person, known.ending)
    response.delete_cookie(
        _pending(console), path="/", secure=not console.settings.is_local, httponly=True, samesite="lax"
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, and the one at the issuer."""
    console = console_of(request)
    ending = console.sessions.end(request.cookies.get(console.settings.cookie, ""))
    response = Response(status_code=303, headers={"Location": "/sign-in"})
    if ending and console.doors.flow is not None:
        name = console.doors.flow.provider.name
        response = page(request, "onward.html", None, address=ending, title="Signed out here", to=f"sign out of {name}")
    response.delete_cookie(
        console.settings.cookie, path="/", secure=not console.settings.is_local, httponly=True, samesite="strict"
    )
    return response


def _form(request: Request, code: int, problem: str) -> Response:
    doors = console_of(request).doors
    provider = doors.flow.provider.name if doors.flow else ""
    has_users = doors.users is not None
    return page(request, "sign_in.html", None, code=code, problem=problem, provider=provider, has_users=has_users)


def _begin(console: Console, response: Response, person: Person, ending: str) -> None:
    audit.done(person, "sign-in")
    response.set_cookie(
        console.settings.cookie,
        console.sessions.begin(person, ending),
        max_age=ABSOLUTE_SECONDS,
        secure=not console.settings.is_local,
        httponly=True,
        samesite="strict",
        path="/",
    )


def _pending(console: Console) -> str:
    return f"{console.settings.cookie}-pending"


def _origin(request: Request) -> str:
    """Return by what the browser knows us: over TLS, unless it is on this machine; the guard has seen the name."""
    host = request.headers["host"]
    return f"{'http' if is_of_this_machine(host) else 'https'}://{host}"
