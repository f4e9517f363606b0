"""From a template to an answer."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from dicomroute_console.sources.person import Person

from .asking import console_of


def page(request: Request, template: str, me: Person | None, *, code: int = 200, **values: Any) -> HTMLResponse:
    """Return a page."""
    console = console_of(request)
    text = console.templates.get_template(template).render(me=me, path=request.url.path, **values)
    return HTMLResponse(text, code)


def problem(request: Request, code: int, title: str, sentence: str) -> HTMLResponse:
    """Return the page that says what went wrong, with the way on."""
    console = console_of(request)
    person = console.sessions.person(request.cookies.get(console.settings.cookie, ""))
    return page(request, "problem.html", person, code=code, title=title, sentence=sentence)


def is_part(request: Request) -> bool:
    """Return whether a page renews a part of itself."""
    return request.headers.get("hx-request") == "true"
