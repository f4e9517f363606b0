"""Resources as they stand, whose their fields are, and changes: tried by the API server first, never forced."""

import difflib
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, Response

from dicomroute_console import audit
from dicomroute_console.sources.person import Person
from dicomroute_console.sources.source import NODES, ROUTES, TARGETS, Conflict, Invalid, NotAllowed, Right

from .asking import Console, Me, console_of, needs
from .model import conditions
from .modes import mode_fields, with_mode
from .ownership import NotYaml, applied, document, owners, parsed, shown, text_of
from .rendering import page

router = APIRouter()
MANAGER: Final = "dicomroute-console"


@dataclass(frozen=True)
class _Kind:
    """A kind that is configured: its place in addresses, its plural, and the right to change one."""

    place: str
    plural: str
    right: Right


_KINDS: Final = (
    _Kind("routes", ROUTES, Right.EDIT_ROUTE),
    _Kind("nodes", NODES, Right.EDIT_NODE),
    _Kind("targets", TARGETS, Right.EDIT_TARGET),
)


@dataclass(frozen=True)
class Tried:
    """What became of a change: what the API server says against it, whose the fields are, or what would differ."""

    problem: str = ""
    owners: tuple[tuple[str, str], ...] = ()
    difference: str = ""
    is_written: bool = False


async def apply(console: Console, me: Person, resource: Any, spec: Any, *, dry_run: bool, why: str) -> Tried:
    """Apply a spec as the console's own fields, or try it; return what became of it. Never forced."""
    wanted = document(resource, spec)
    if why:
        wanted["metadata"]["annotations"] = {"dicomroute.dev/console": f"{me.name}: {why}"}
    try:
        after = await console.source.apply(me, wanted, dry_run=dry_run)
    except Conflict as conflict:
        return Tried("Another owner sets these fields. Change them there, or remove them here.", conflict.owners)
    except (Invalid, NotAllowed) as error:
        return Tried(str(error))
    lines = difflib.unified_diff(
        text_of(resource.get("spec") or {}).splitlines(),
        text_of(after["spec"]).splitlines(),
        "now",
        "then",
        lineterm="",
    )
    if not dry_run:
        metadata = resource["metadata"]
        where = f"{metadata['namespace']}/{metadata['name']}"
        audit.done(me, "configuration.apply", kind=resource["kind"], object=where, why=why, fields=sorted(spec))
    return Tried("", (), "\n".join(lines), not dry_run)


def _pages(kind: _Kind) -> None:
    base = f"/{kind.place}/{{namespace}}/{{name}}/configuration"

    async def show(request: Request, namespace: str, name: str, me: Me) -> Response:
        """Show a resource in YAML, its findings, and whose its fields are."""
        return await _show(request, me, kind, namespace, name)

    async def change(
        request: Request,
        namespace: str,
        name: str,
        me: Me,
        text: Annotated[str, Form(max_length=200_000)] = "",
        why: Annotated[str, Form(max_length=500)] = "",
        step: Annotated[str, Form(max_length=8)] = "try",
    ) -> Response:
        """Try a change at the API server, or write it."""
        console = console_of(request)
        resource = await console.source.resource(me, kind.plural, namespace, name)
        try:
            spec = parsed(text)
        except NotYaml as error:
            tried = Tried(str(error))
        else:
            tried = await apply(console, me, resource, spec, dry_run=step != "write", why=why.strip())
        return await _show(request, me, kind, namespace, name, text=text, why=why, tried=tried)

    router.get(base)(show)
    router.post(base, dependencies=[Depends(needs(kind.right))])(change)


for _kind in _KINDS:
    _pages(_kind)


async def _show(
    request: Request,
    me: Person,
    kind: _Kind,
    namespace: str,
    name: str,
    *,
    text: str | None = None,
    why: str = "",
    tried: Tried | None = None,
) -> Response:
    console = console_of(request)
    resource = await console.source.resource(me, kind.plural, namespace, name)
    mine = applied(resource, MANAGER)
    return page(
        request,
        "configuration.html",
        me,
        namespace=namespace,
        name=name,
        place=kind.place,
        conditions=conditions(resource),
        yaml=shown(resource),
        owners=owners(resource),
        may_edit=await console.source.may(me, kind.right, namespace, name) and not console.settings.is_local,
        text=(text_of(mine) if mine else "") if text is None else text,
        why=why,
        tried=tried,
    )


_MODE: Final = "/routes/{namespace}/{name}/mode"


@router.get(_MODE, dependencies=[Depends(needs(Right.EDIT_ROUTE))])
async def mode(request: Request, namespace: str, name: str, me: Me) -> Response:
    """Show the modes of a route, its queries, listeners, destinations and rules."""
    resource = await console_of(request).source.resource(me, ROUTES, namespace, name)
    return _modes(request, me, resource, None)


@router.post(_MODE, dependencies=[Depends(needs(Right.EDIT_ROUTE))])
async def set_mode(
    request: Request,
    namespace: str,
    name: str,
    me: Me,
    field: Annotated[str, Form(max_length=400)],
    to: Annotated[str, Form(max_length=32)],
    why: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Hold or resume: set a mode beside all that the console has set before."""
    console = console_of(request)
    tried = await moded(console, me, (namespace, name), field, to, why=why.strip(), dry_run=False)
    return _modes(request, me, await console.source.resource(me, ROUTES, namespace, name), tried)


async def moded(
    console: Console, me: Person, route: tuple[str, str], field: str, to: str, *, why: str, dry_run: bool
) -> Tried:
    """Set a mode of a route or of a part of it, or try that. Raises NotAllowed, NotFound."""
    resource = await console.source.resource(me, ROUTES, *route)
    meanings = {one.field: one.meanings for one in mode_fields(resource.get("spec") or {})}
    if to not in meanings.get(field, ()):
        raise NotAllowed(f"{field!r} has no mode {to!r}")
    spec = with_mode(applied(resource, MANAGER), field, to)
    return await apply(console, me, resource, spec, dry_run=dry_run, why=why)


def _modes(request: Request, me: Person, resource: Any, tried: Tried | None) -> Response:
    metadata = resource["metadata"]
    return page(
        request,
        "mode.html",
        me,
        namespace=metadata["namespace"],
        name=metadata["name"],
        groups=[
            (name, list(those)) for name, those in groupby(mode_fields(resource["spec"]), key=lambda one: one.group)
        ],
        tried=tried,
        may_edit=not console_of(request).settings.is_local,
    )
