"""`dicomroute studies`: studies as units, with every series, instance, destination and attempt."""

from typing import Annotated

import typer

from dicomroute_cli.output import Format, print_data, print_error, print_table, to_seconds
from dicomroute_client import calls
from dicomroute_client.calls import Answer
from dicomroute_client.documents.studies import StudiesDocument, StudyDestination, StudyItem, StudyStateChoice

from .options import DEFAULT_STATE, Admin, Context, Namespace, Output, Route, State, TokenFile, client_of

studies = typer.Typer(no_args_is_help=True, help="Look at studies: what came of each, and where it went.")


@studies.command("list")
def list_(
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    study_state: Annotated[
        StudyStateChoice | None, typer.Option("--in", help="Only studies in this state.", metavar="STATE")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="What was received on this day (UTC), of the ledger too."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """List studies, those that came last first.

    Destinations count the instances in the spool; with --day those that are finished too.
    """
    client = client_of(admin, token_file, state, route, namespace, context)
    print_studies(client.ask(calls.studies(study_state, day, limit)), output)


@studies.command()
def show(
    study: Annotated[str, typer.Argument(help="Study Instance UID.", metavar="UID")],
    admin: Admin = None,
    route: Route = None,
    namespace: Namespace = None,
    context: Context = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many instances.")] = 1000,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show every series, instance, destination and attempt of a study."""
    answer = client_of(admin, token_file, state, route, namespace, context).ask(calls.study(study, limit))
    if output is not Format.TABLE:
        print_data(answer.data, output)
        return
    found = answer.document
    one = found.study
    facts: list[list[object]] = [
        ["study", one.study_instance_uid],
        ["state", _state(one)],
        ["revision", one.revision or "-"],
        ["first received", to_seconds(one.first_received_time)],
        ["last received", to_seconds(one.last_received_time)],
        ["completed", to_seconds(one.completed_time)],
        ["instances", f"{one.instances}, {one.new_instances} of them in this revision"],
        ["series", one.series],
        ["modalities", ", ".join(one.modalities) or "-"],
    ]
    print_table(["field", "value"], facts)
    print()
    print_table(
        ["destination", "waiting", "pending", "unconfirmed", "held", "dead-lettered", "skipped", "delivered"],
        [[d.destination, *_counts(d)] for d in one.destinations],
    )
    print()
    print_table(
        [
            "series instance uid",
            "instance",
            "sop instance uid",
            "received",
            "destination",
            "state",
            "reason",
            "attempts",
        ],
        [
            [
                series.series_instance_uid,
                instance.instance,
                instance.sop_instance_uid,
                to_seconds(instance.received_time),
                delivery.destination or "-",
                delivery.state,
                delivery.reason or "-",
                delivery.attempts,
            ]
            for series in found.series
            for instance in series.instances
            for delivery in instance.deliveries
        ],
    )
    if found.truncated:
        print_error(f"it has more than {limit} instances: use --limit, or `dicomroute ledger --study UID --series UID`")


def print_studies(answer: Answer[StudiesDocument], output: Format) -> None:
    """Print studies, a line each."""
    if output is not Format.TABLE:
        print_data(answer.data, output)
        return
    print_table(
        ["study instance uid", "state", "revision", "instances", "series", "modalities", "last received", "deliveries"],
        [
            [
                one.study_instance_uid or "(none)",
                _state(one),
                one.revision or "-",
                one.instances,
                one.series,
                ",".join(one.modalities) or "-",
                to_seconds(one.last_received_time),
                "; ".join(map(_deliveries, one.destinations)) or "-",
            ]
            for one in answer.document.items
        ],
    )
    if answer.document.truncated:
        print_error("there are more: use --limit, --in or --day")


def _state(one: StudyItem) -> str:
    return f"{one.state} ({one.basis})" if one.basis else one.state


def _counts(one: StudyDestination) -> list[int]:
    return [one.waiting, one.pending, one.unconfirmed, one.held, one.dead_lettered, one.skipped, one.delivered]


def _deliveries(one: StudyDestination) -> str:
    words = ("waiting", "pending", "unconfirmed", "held", "dead-lettered", "skipped", "delivered")
    told = [f"{count} {word}" for word, count in zip(words, _counts(one), strict=True) if count]
    return f"{one.destination} {', '.join(told)}"
