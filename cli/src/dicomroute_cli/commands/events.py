"""`dicomroute events`: what happens at a gateway, as its feed tells it."""

import json
import sys
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import typer

from dicomroute_cli.output import Failure, print_error, print_table, printable, to_seconds
from dicomroute_client import calls
from dicomroute_client.documents.events import EVENT_TYPES, EventDocument
from dicomroute_client.errors import AdminError, TooOld

from .options import DEFAULT_STATE, Admin, Context, Namespace, Route, State, TokenFile, client_of

_NAMES: Final = ", ".join(one.name for one in EVENT_TYPES)
_SHOWN_FIRST: Final = ("destination", "reason", "reasons", "ready", "callingAETitle", "instance", "instances")


class EventOutput(StrEnum):
    """How events are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


def events(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until interrupted, and come back after failures.")] = (
        False
    ),
    after: Annotated[
        str,
        typer.Option(
            metavar="CURSOR",
            help="Only what came behind this cursor, which the command prints at its end; or `latest`.",
        ),
    ] = "",
    kind: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help=f"Only events of this type. Repeat it. {_NAMES}.")
    ] = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Annotated[
        EventOutput, typer.Option("-o", "--output", help="json: one CloudEvent per line. wide: every field.")
    ] = EventOutput.TABLE,
) -> None:
    """Print what happened: studies that came and arrived, what was refused or held, what stalls, and how it ended.

    Prints every stored event, oldest first. With --after, starts after that cursor. docs/events.md lists the types.
    """
    types = tuple(kind or ())
    client = client_of(admin, token_file, state, route, namespace, context)
    if follow:
        follower = client.follow_events(after, types, _tell_of_failure)
        try:
            for event in follower:
                _print([event], output)
                sys.stdout.flush()
        except KeyboardInterrupt:
            pass
        except TooOld as error:
            raise Failure(f"{error}. Here: without --after, or with --after latest") from error
        except AdminError as error:
            raise Failure(str(error)) from error
        finally:
            _tell_cursor(follower.cursor)
        return
    cursor, more, any_yet = after, True, False
    while more:
        page = client.ask(calls.events(cursor, limit=1000, types=types)).document
        _print(page.events, output, header=not any_yet)
        any_yet = any_yet or bool(page.events)
        cursor, more = page.cursor, page.more
    _tell_cursor(cursor)


def _tell_cursor(cursor: str) -> None:
    if cursor:
        print_error(f"to go on from here: --after {cursor}")


def _tell_of_failure(error: AdminError, seconds: float) -> None:
    print_error(f"{error}; asked again in {seconds:.0f} s")


def _print(found: list[EventDocument], output: EventOutput, *, header: bool = False) -> None:
    if output is EventOutput.JSON:
        for event in found:
            print(json.dumps(event.model_dump(mode="json", by_alias=True)))
        return
    rows = [[to_seconds(one.time), one.name, one.subject or "-", _said(one, output)] for one in found]
    if header:
        print_table(["time", "event", "about", "what it says"], rows)
    else:
        for row in rows:
            print("  ".join(printable(str(cell)) for cell in row))


def _said(event: EventDocument, output: EventOutput) -> str:
    """Return what an event says beside its subject: all of it, or what people look at first."""
    said = {name: value for name, value in event.data.items() if value not in (None, "", [], event.subject)}
    if output is EventOutput.TABLE:
        said = {name: said[name] for name in islice((one for one in _SHOWN_FIRST if one in said), 4)}
    return " ".join(f"{name}={_text(value)}" for name, value in said.items()) or "-"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
