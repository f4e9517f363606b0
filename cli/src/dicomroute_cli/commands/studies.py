"""`dicomroute studies`: studies as units, with every series, instance, destination and attempt."""

from typing import Annotated

import typer

from dicomroute_cli.output import Format, print_data, print_error, print_table, to_seconds
from dicomroute_client import calls
from dicomroute_client.calls import Answer
from dicomroute_client.documents.studies import StudiesDocument, StudyDestination, StudyItem, StudyStateChoice

from .options import AskedGateway, asks_gateway

studies = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Show studies: what was received of each, and where it went.",
)


@studies.command("list")
@asks_gateway
def list_(
    gateway: AskedGateway,
    study_state: Annotated[
        StudyStateChoice | None, typer.Option("--in", help="Only studies in this state.", metavar="STATE")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="What was received on this day (UTC), of the ledger too."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of studies.")] = 100,
) -> None:
    """List studies, newest first.

    Destinations count the instances in the spool, and with --day also finished instances.
    """
    print_studies(gateway.client().ask(calls.studies(study_state, day, limit)), gateway.output)


@studies.command()
@asks_gateway
def show(
    gateway: AskedGateway,
    study: Annotated[str, typer.Argument(help="Study Instance UID.", metavar="UID")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of instances.")] = 1000,
) -> None:
    """Show every series, instance, destination and attempt of a study."""
    answer = gateway.client().ask(calls.study(study, limit))
    if not gateway.output.is_table:
        print_data(answer.data, gateway.output)
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
    if one.not_sent_again:
        facts.append(["not sent again", _not_sent_again(one)])
    print_table(["field", "value"], facts, gateway.output)
    print()
    print_table(
        ["destination", "waiting", "pending", "unconfirmed", "held", "dead-lettered", "skipped", "delivered"],
        [[d.destination, *_counts(d)] for d in one.destinations],
        gateway.output,
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
        gateway.output,
        wide=("received", "attempts"),
    )
    if found.truncated:
        print_error(f"it has more than {limit} instances: use --limit, or `dicomroute ledger --study UID --series UID`")


def print_studies(answer: Answer[StudiesDocument], output: Format) -> None:
    """Print studies, a line each."""
    if not output.is_table:
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
        output,
        wide=("series", "modalities"),
    )
    if answer.document.truncated:
        print_error("there are more: use --limit, --in or --day")


def _state(one: StudyItem) -> str:
    return f"{one.state} ({one.basis})" if one.basis else one.state


def _not_sent_again(one: StudyItem) -> str:
    return f"{one.not_sent_again}: they had left the spool. Send the study again from its source if it must be whole"


def _counts(one: StudyDestination) -> list[int]:
    return [one.waiting, one.pending, one.unconfirmed, one.held, one.dead_lettered, one.skipped, one.delivered]


def _deliveries(one: StudyDestination) -> str:
    words = ("waiting", "pending", "unconfirmed", "held", "dead-lettered", "skipped", "delivered")
    told = [f"{count} {word}" for word, count in zip(words, _counts(one), strict=True) if count]
    return f"{one.destination} {', '.join(told)}"
