"""`dicomroute queue`: looks into the queue of a gateway and decides on what is in it."""

import sys
from collections import Counter
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer

from dicomroute_cli.admin_client import AdminClient
from dicomroute_cli.output import Failure, Format, print_data, print_error, print_table, to_seconds

from .options import DEFAULT_STATE, Admin, Context, Namespace, Output, Route, State, TokenFile, client_of

queue = typer.Typer(no_args_is_help=True, help="Look into the queue of a gateway, and decide on what is in it.")

_HTTP: Final = frozenset(int(status) for status in HTTPStatus)

Instances = Annotated[list[int] | None, typer.Argument(help="Numbers of instances, as `queue list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every instance.")]
Destination = Annotated[
    str | None,
    typer.Option(help="Only deliveries to this destination, such as CloudTarget/azure.", metavar="KIND/NAME"),
]


Key = Annotated[
    str | None,
    typer.Option(
        help="Only instances that are encrypted with this key: its id, as `queue keys` shows it.", metavar="ID"
    ),
]
QueueState = Annotated[
    str | None,
    typer.Option("--in", help="Only deliveries in this state: Pending, Held, Skipped, DeadLettered.", metavar="STATE"),
]
Reason = Annotated[
    str | None,
    typer.Option(help="Only deliveries with this reason, such as Unmatched.", metavar="REASON"),
]
Study = Annotated[str | None, typer.Option(help="Only instances of this study.", metavar="UID")]


@queue.command("list")
def list_(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    queue_state: QueueState = None,
    destination: Destination = None,
    reason: Reason = None,
    study: Study = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """List deliveries, oldest first."""
    client = client_of(admin, token_file, state, route, namespace, context)
    page = client.get(
        "/api/v1/queue", state=queue_state, destination=destination, reason=reason, study=study, limit=limit
    )
    if output is not Format.TABLE:
        print_data(page, output)
        return
    print_table(
        [
            "instance",
            "state",
            "destination",
            "reason",
            "attempts",
            "last attempt",
            "next attempt",
            "received",
            "from",
            "bytes",
        ],
        [_row(item) for item in page["items"]],
    )
    if page["truncated"]:
        print_error(f"there are more than {limit}: use --limit, --in, --destination, --reason or --study")


@queue.command()
def show(
    instance: Annotated[int, typer.Argument(help="Number of the instance.")],
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show all that is known of an instance."""
    document = client_of(admin, token_file, state, route, namespace, context).get(f"/api/v1/queue/{instance}")
    if output is not Format.TABLE:
        print_data(document, output)
        return
    deliveries = document.pop("deliveries")
    print_table(["field", "value"], [[key, "-" if value in (None, "") else value] for key, value in document.items()])
    print()
    print_table(
        ["destination", "state", "reason", "status", "attempts", "last attempt", "next attempt"],
        [
            [
                one["destination"] or "-",
                one["state"],
                one["reason"] or "-",
                _code(one["status"]),
                one["attempts"],
                to_seconds(one["lastAttemptTime"]) if one["attempts"] else "-",
                to_seconds(one["nextAttemptTime"]),
            ]
            for one in deliveries
        ],
    )
    attempts = [[one["destination"], *_attempt(past)] for one in deliveries for past in one["earlierAttempts"]]
    if attempts:
        print()
        print_table(["destination", "earlier attempt", "reason", "status"], attempts)


@queue.command()
def retry(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    instances: Instances = None,
    all_: All = False,
    destination: Destination = None,
    queue_state: QueueState = None,
    reason: Reason = None,
    study: Study = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Attempt deliveries now, dead-lettered ones too; skipped ones with --in Skipped."""
    _change(
        "retry",
        "due now",
        client_of(admin, token_file, state, route, namespace, context),
        instances,
        all_,
        destination,
        output,
        state=queue_state,
        reason=reason,
        study=study,
    )


@queue.command()
def release(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    instances: Instances = None,
    all_: All = False,
    study: Study = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Apply the rules in force to instances that are held because none took them, or one had an error."""
    _change(
        "release",
        "released",
        client_of(admin, token_file, state, route, namespace, context),
        instances,
        all_,
        None,
        output,
        study=study,
    )


@queue.command()
def drop(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    instances: Instances = None,
    all_: All = False,
    destination: Destination = None,
    key: Key = None,
    queue_state: QueueState = None,
    reason: Reason = None,
    study: Study = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, at a terminal, whether --all is meant.")
    ] = False,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Give up deliveries and held instances. Their bytes are removed; they stay counted.

    With --all a destination, a state, a reason, a study or a key says which.
    """
    client = client_of(admin, token_file, state, route, namespace, context)
    narrowed = {"state": queue_state, "reason": reason, "study": study}
    if all_ and not yes and sys.stdin.isatty():
        _ask(client, destination, key, narrowed)
    _change("drop", "dropped", client, instances, all_, destination, output, key=key, **narrowed)


@queue.command()
def keys(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show the keys of an encrypted spool: which one encrypts, which are missing, and which no instance needs."""
    client = client_of(admin, token_file, state, route, namespace, context)
    spool = client.get("/api/v1/status")["spool"]
    if spool is None:
        raise Failure("the gateway is still reading its spool: try again in a moment")
    found = {"keys": spool["keys"], "unencrypted": spool["unencrypted"]}
    if output is not Format.TABLE:
        print_data(found, output)
        return
    rows = [[one["id"], str(one["instances"]), _use(one)] for one in spool["keys"]]
    print_table(["key", "instances", "use"], [*rows, ["-", str(spool["unencrypted"]), "in clear"]])


def _ask(client: AdminClient, destination: str | None, key: str | None, narrowed: dict[str, str | None]) -> None:
    """Show what is about to be given up, and let a person say no."""
    if key is None:
        page = client.get("/api/v1/queue", destination=destination, limit=1000, **narrowed)
        counts = Counter((one["destination"] or "-", one["state"], one["reason"] or "-") for one in page["items"])
        rows = [[*what, f"{count}{'+' if page['truncated'] else ''}"] for what, count in sorted(counts.items())]
        print_table(["destination", "state", "reason", "deliveries"], rows)
    if not typer.confirm("Give these up?"):
        raise Failure("nothing was dropped", 1)


def _use(key: dict[str, Any]) -> str:
    if not key["mounted"]:
        return "missing: its instances wait"
    if key["encrypts"]:
        return "encrypts"
    return "decrypts" if key["instances"] else "not needed any more"


def _change(
    operation: str,
    done: str,
    client: AdminClient,
    instances: list[int] | None,
    all_: bool,
    destination: str | None,
    output: Format,
    **narrowed: str | None,
) -> None:
    if bool(instances) == all_:
        raise Failure(f"queue {operation}: name instances, or say --all, and not both", 2)
    selection: dict[str, Any] = {"instances": instances or [], "all": all_, "destination": destination}
    selection |= {name: value for name, value in narrowed.items() if value is not None}
    change = client.post(f"/api/v1/queue/{operation}", selection)
    if output is not Format.TABLE:
        print_data(change, output)
        return
    for message in change["messages"]:
        print_error(message)
    print(f"{change['changed']} {done}")
    if instances and not change["changed"]:
        raise typer.Exit(1)


def _attempt(past: dict[str, Any]) -> list[str]:
    return [to_seconds(past["time"]), past["reason"] or "-", _code(past["status"])]


def _row(item: dict[str, Any]) -> list[Any]:
    reason = item["reason"] + (f" ({_code(item['status'])})" if item["status"] else "")
    return [
        item["instance"],
        item["state"],
        item["destination"] or "-",
        reason or "-",
        item["attempts"],
        to_seconds(item["lastAttemptTime"]) if item["attempts"] else "-",
        to_seconds(item["nextAttemptTime"]),
        to_seconds(item["receivedTime"]),
        item["callingAETitle"],
        item["bytes"],
    ]


def _code(status: int | None) -> str:
    """Return an HTTP status in decimal, a DICOM failure reason as the standard writes it."""
    if status is None:
        return "-"
    return str(status) if status in _HTTP else f"0x{status:04X}"
