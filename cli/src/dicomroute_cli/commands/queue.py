"""`dicomroute queue`: looks into the queue of a gateway and decides on what is in it."""

import sys
from collections import Counter
from http import HTTPStatus
from typing import Annotated, Any, Final

import typer

from dicomroute_cli.admin_client import AdminClient
from dicomroute_cli.output import Failure, Format, print_data, print_error, print_table, to_seconds
from dicomroute_client import calls
from dicomroute_client.calls import Operation
from dicomroute_client.documents.queue import AttemptDocument, QueueItem
from dicomroute_client.documents.status import SpoolKeyDocument

from .options import AskedGateway, asks_gateway

queue = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show the queue of a gateway, and retry, release or drop what is in it.",
)

_HTTP: Final = frozenset(int(status) for status in HTTPStatus)

Instances = Annotated[list[int] | None, typer.Argument(help="Instance numbers, as `queue list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every instance.")]
Destination = Annotated[
    str | None,
    typer.Option(help="Only deliveries to this destination, such as CloudTarget/azure.", metavar="KIND/NAME"),
]


Key = Annotated[
    str | None,
    typer.Option(
        help="Only instances that are encrypted with this key. Use the id that `queue keys` shows.", metavar="ID"
    ),
]
QueueState = Annotated[
    str | None,
    typer.Option(
        "--in",
        help="Only deliveries in this state: Pending, Waiting, Unconfirmed, Held, Skipped, DeadLettered.",
        metavar="STATE",
    ),
]
Reason = Annotated[
    str | None,
    typer.Option(help="Only deliveries with this reason, such as Unmatched.", metavar="REASON"),
]
Study = Annotated[str | None, typer.Option(help="Only instances of this study.", metavar="UID")]


@queue.command("list")
@asks_gateway
def list_(
    gateway: AskedGateway,
    queue_state: QueueState = None,
    destination: Destination = None,
    reason: Reason = None,
    study: Study = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of deliveries.")] = 100,
) -> None:
    """List deliveries, oldest first."""
    client = gateway.client()
    page = client.ask(calls.queue(queue_state, destination, reason, study, limit))
    if not gateway.output.is_table:
        print_data(page.data, gateway.output)
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
        [_row(item) for item in page.document.items],
        gateway.output,
        wide=("attempts", "last attempt", "next attempt", "bytes"),
    )
    if page.document.truncated:
        print_error(f"there are more than {limit}: use --limit, --in, --destination, --reason or --study")


@queue.command()
@asks_gateway
def show(
    gateway: AskedGateway,
    instance: Annotated[int, typer.Argument(help="Number of the instance.")],
) -> None:
    """Show everything that is known about an instance."""
    found = gateway.client().ask(calls.instance(instance))
    if not gateway.output.is_table:
        print_data(found.data, gateway.output)
        return
    facts = {name: value for name, value in found.data.items() if name != "deliveries"}
    rows = [[name, "-" if value in (None, "") else value] for name, value in facts.items()]
    print_table(["field", "value"], rows, gateway.output)
    deliveries = found.document.deliveries
    print()
    print_table(
        ["destination", "state", "reason", "status", "attempts", "last attempt", "next attempt"],
        [
            [
                one.destination or "-",
                one.state,
                one.reason or "-",
                _code(one.status),
                one.attempts,
                to_seconds(one.last_attempt_time) if one.attempts else "-",
                to_seconds(one.next_attempt_time),
            ]
            for one in deliveries
        ],
        gateway.output,
        wide=("last attempt",),
    )
    attempts = [[one.destination, *_attempt(past)] for one in deliveries for past in one.earlier_attempts]
    if attempts:
        print()
        print_table(["destination", "earlier attempt", "reason", "status"], attempts, gateway.output)


@queue.command()
@asks_gateway
def retry(
    gateway: AskedGateway,
    instances: Instances = None,
    all_: All = False,
    destination: Destination = None,
    queue_state: QueueState = None,
    reason: Reason = None,
    study: Study = None,
) -> None:
    """Retry deliveries now, including dead-lettered ones. For skipped ones, add --in Skipped."""
    _change(
        Operation.RETRY,
        "due now",
        gateway.client(),
        instances,
        all_,
        destination,
        gateway.output,
        state=queue_state,
        reason=reason,
        study=study,
    )


@queue.command()
@asks_gateway
def release(
    gateway: AskedGateway,
    instances: Instances = None,
    all_: All = False,
    study: Study = None,
) -> None:
    """Apply the current rules to instances that are held because no rule matched, or because a rule had an error.

    Deliveries that are held because their study was revised, or because a transform or a treatment failed, are retried.
    What de-identification withholds stays held until the profile lets it pass.
    """
    _change(
        Operation.RELEASE,
        "released",
        gateway.client(),
        instances,
        all_,
        None,
        gateway.output,
        study=study,
    )


@queue.command()
@asks_gateway
def drop(
    gateway: AskedGateway,
    instances: Instances = None,
    all_: All = False,
    destination: Destination = None,
    key: Key = None,
    queue_state: QueueState = None,
    reason: Reason = None,
    study: Study = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for confirmation of --all at a terminal.")
    ] = False,
) -> None:
    """Give up deliveries and held instances. The instances are removed from the spool, but stay counted.

    With --all, select by destination, state, reason, study or key.
    """
    client = gateway.client()
    narrowed = {"state": queue_state, "reason": reason, "study": study}
    if all_ and not yes and sys.stdin.isatty():
        _ask(client, destination, key, narrowed)
    _change(Operation.DROP, "dropped", client, instances, all_, destination, gateway.output, key=key, **narrowed)


@queue.command()
@asks_gateway
def keys(
    gateway: AskedGateway,
) -> None:
    """Show the keys of an encrypted spool: the key that encrypts, missing keys, and keys that no instance needs."""
    client = gateway.client()
    answer = client.ask(calls.status())
    spool = answer.document.spool
    if spool is None:
        raise Failure("the gateway is still reading its spool: retry in a moment")
    if not gateway.output.is_table:
        print_data({name: answer.data["spool"][name] for name in ("keys", "unencrypted")}, gateway.output)
        return
    rows = [[one.id, str(one.instances), _use(one)] for one in spool.keys]
    print_table(["key", "instances", "use"], [*rows, ["-", str(spool.unencrypted), "in clear"]], gateway.output)


def _ask(client: AdminClient, destination: str | None, key: str | None, narrowed: dict[str, str | None]) -> None:
    """Show what is about to be given up, and let a person say no."""
    if key is None:
        page = client.ask(calls.queue(destination=destination, limit=1000, **narrowed)).document
        counts = Counter((one.destination or "-", one.state, one.reason or "-") for one in page.items)
        rows = [[*what, f"{count}{'+' if page.truncated else ''}"] for what, count in sorted(counts.items())]
        print_table(["destination", "state", "reason", "deliveries"], rows)
    if not typer.confirm("Give up these deliveries?"):
        raise Failure("nothing was dropped", 1)


def _use(key: SpoolKeyDocument) -> str:
    if not key.mounted:
        return "missing: its instances wait"
    if key.encrypts:
        return "encrypts"
    return "decrypts" if key.instances else "no longer needed"


def _change(
    operation: Operation,
    done: str,
    client: AdminClient,
    instances: list[int] | None,
    all_: bool,
    destination: str | None,
    output: Format,
    **narrowed: str | None,
) -> None:
    if bool(instances) == all_:
        raise Failure(f"queue {operation}: give either instance numbers or --all, but not both", 2)
    selection: dict[str, Any] = {"instances": instances or [], "all": all_, "destination": destination}
    selection |= {name: value for name, value in narrowed.items() if value is not None}
    answer = client.ask(calls.change(operation, selection))
    if not output.is_table:
        print_data(answer.data, output)
        return
    for message in answer.document.messages:
        print_error(message)
    print(f"{answer.document.changed} {done}")
    if instances and not answer.document.changed:
        raise typer.Exit(1)


def _attempt(past: AttemptDocument) -> list[str]:
    return [to_seconds(past.time), past.reason or "-", _code(past.status)]


def _row(item: QueueItem) -> list[Any]:
    reason = item.reason + (f" ({_code(item.status)})" if item.status else "")
    return [
        item.instance,
        item.state,
        item.destination or "-",
        reason or "-",
        item.attempts,
        to_seconds(item.last_attempt_time) if item.attempts else "-",
        to_seconds(item.next_attempt_time),
        to_seconds(item.received_time),
        item.calling_ae_title,
        item.bytes,
    ]


def _code(status: int | None) -> str:
    """Return an HTTP status in decimal, a DICOM failure reason as the standard writes it."""
    if status is None:
        return "-"
    return str(status) if status in _HTTP else f"0x{status:04X}"
