"""The application: pages, what is served as it is, and what stands in front of both."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from dicomroute_client.documents.document import text_of
from dicomroute_console.api import health
from dicomroute_console.api import routes as api
from dicomroute_console.api.description import bare, described
from dicomroute_console.api.once import Once, Reused
from dicomroute_console.pages import (
    auditing,
    configuration,
    erasing,
    explain,
    happening,
    peers,
    queue,
    retrieving,
    routes,
    signing,
    studies,
)
from dicomroute_console.pages.advice import advice
from dicomroute_console.pages.asking import Console, Settings, bearer_of
from dicomroute_console.pages.rendering import is_part, problem
from dicomroute_console.signin.doors import Doors
from dicomroute_console.signin.guard import HEADERS, refusal
from dicomroute_console.sources.person import NotKnown
from dicomroute_console.sources.source import NotAllowed, NotFound, OutOfReach, Source

__all__ = ["Settings", "application"]

_WEB: Final = Path(str(files(__package__)))
HTMX: Final = "vendor/htmx-4.0.1.min.js"

MOST_BODY_BYTES: Final = 33 * 1024 * 1024
"""A file of 32 MiB, which a gateway explains, and what a form has around it."""

log = structlog.get_logger(__name__)

Answer = Callable[[Request], Awaitable[Response]]


def application(source: Source, settings: Settings, doors: Doors | None = None) -> FastAPI:
    """Return the application. `doors` are the ways in beside the credentials that the source knows."""
    console = Console(source, settings, _templates(settings), doors or Doors())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await console.close()

    app = FastAPI(title="dicomroute console", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.console = console
    app.mount("/static", StaticFiles(directory=_WEB / "static"), name="static")
    for room in (
        signing,
        routes,
        queue,
        studies,
        peers,
        explain,
        erasing,
        retrieving,
        happening,
        configuration,
        auditing,
    ):
        app.include_router(room.router, include_in_schema=False)
    app.include_router(health.router)
    app.include_router(api.router)
    app.state.once = Once()
    description = json.dumps(described(bare()))

    @app.get(f"{api.PREFIX}/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(description, media_type="application/json")

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.middleware("http")
    async def guard(request: Request, answer: Answer) -> Response:
        why = refusal(
            request.method,
            request.headers.get("host", ""),
            request.headers.get("origin"),
            request.headers.get("sec-fetch-site"),
            settings.hosts,
            has_bearer=bool(bearer_of(request)),
        )
        if _length(request) > MOST_BODY_BYTES:
            why = f"the request is too large: at most {MOST_BODY_BYTES >> 20} MiB are allowed"
        # The kubelet asks by the pod's address.
        response = await answer(request) if not why or request.url.path == "/healthz" else PlainTextResponse(why, 403)
        for name, value in HEADERS.items():
            response.headers[name] = value
        if not request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    _handle_failures(app)
    return app


def _length(request: Request) -> int:
    """Return how long a body is; of one that does not say it, more than is taken."""
    if request.headers.get("transfer-encoding"):
        return MOST_BODY_BYTES + 1
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else MOST_BODY_BYTES + 1


def _handle_failures(app: FastAPI) -> None:
    @app.exception_handler(NotKnown)
    async def not_known(request: Request, error: NotKnown) -> Response:
        """Send a person to the place where they sign in, and a page that renews itself as well: it stops there."""
        if _is_api(request):
            return JSONResponse({"error": str(error)}, 401, {"WWW-Authenticate": "Bearer"})
        if bearer_of(request):
            return PlainTextResponse(f"{error}\n", 401, {"WWW-Authenticate": "Bearer"})
        if is_part(request):
            return Response(status_code=200, headers={"HX-Redirect": "/sign-in"})
        return Response(status_code=303, headers={"Location": "/sign-in"})

    @app.exception_handler(Reused)
    async def reused(request: Request, error: Reused) -> Response:
        return _said(request, error.status, "The key was used", str(error))

    @app.exception_handler(NotAllowed)
    async def not_allowed(request: Request, error: NotAllowed) -> Response:
        return _said(request, 403, "You may not see or do this", str(error))

    @app.exception_handler(NotFound)
    async def not_found(request: Request, error: NotFound) -> Response:
        return _said(request, 404, "Not found", str(error))

    @app.exception_handler(OutOfReach)
    async def out_of_reach(request: Request, error: OutOfReach) -> Response:
        return _said(request, 502, "A server does not answer", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return _said(request, 400, "The request is incomplete", said)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _said(request, error.status_code, "Page not found", str(error.detail))


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(f"{api.PREFIX}/")


def _said(request: Request, code: int, title: str, sentence: str) -> Response:
    """Return what went wrong: a page for people, a document for programs."""
    if _is_api(request):
        return JSONResponse({"error": sentence}, code)
    return problem(request, code, title, sentence)


def _templates(settings: Settings) -> Environment:
    found = Environment(
        loader=FileSystemLoader(_WEB / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["when"] = when
    found.filters["size"] = size
    found.filters["status"] = status_text
    found.globals.update(
        advice=advice,
        is_local=settings.is_local,
        htmx=f"/static/{HTMX}" if (_WEB / "static" / HTMX).exists() else "",
    )
    return found


def when(moment: datetime | str | None) -> str:
    """Return a time to the second, as people read it; "–" for none."""
    text = text_of(moment.replace(microsecond=0)) if isinstance(moment, datetime) else moment
    return text.replace("T", " ").replace("Z", " UTC") if text else "–"


def size(count: int) -> str:
    """Return a number of bytes in the unit that fits."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def status_text(status: Any) -> str:
    """Return an HTTP status in decimal, a DICOM status or failure reason as the standard writes it."""
    if status is None:
        return "–"
    return str(status) if 100 <= status < 600 else f"0x{status:04X}"
