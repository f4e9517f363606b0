"""`dicomroute ledger` and `dicomroute report`: what became of instances, and what each source sent on a day."""

from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from dicomroute_cli.output import print_data, print_error, print_table, to_seconds
from dicomroute_client import calls
from dicomroute_client.documents.ledger import SourceReport
from dicomroute_client.documents.queue import DeliveryDocument

from .options import AskedGateway, asks_gateway
from .studies import print_studies


class By(StrEnum):
    """What a line of a report is about."""

    SOURCE = "source"
    STUDY = "study"


Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day, in UTC. Default: today.")]


@asks_gateway
def ledger(
    gateway: AskedGateway,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Series Instance UID.")] = None,
    instance: Annotated[str | None, typer.Option(metavar="UID", help="SOP Instance UID.")] = None,
    calling: Annotated[str | None, typer.Option(metavar="AE", help="Calling AE title.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Received on this day (UTC) or later.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Received on this day or before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of instances.")] = 100,
) -> None:
    """Show what happened to the newest instances, or to those of a study or a source.

    Newest first. Includes instances in the spool and finished ones, for as long as spec.ledger keeps them.
    """
    answer = gateway.client().ask(calls.ledger(study, series, instance, calling, from_, to, limit))
    if not gateway.output.is_table:
        print_data(answer.data, gateway.output)
        return
    found = answer.document
    print_table(
        ["instance", "outcome", "received", "finished", "from", "sop instance uid", "deliveries"],
        [
            [
                one.instance,
                one.outcome,
                to_seconds(one.received_time),
                to_seconds(one.finished_time),
                one.calling_ae_title,
                one.sop_instance_uid,
                "; ".join(map(_delivery, one.deliveries)) or "-",
            ]
            for one in found.items
        ],
        gateway.output,
        wide=("finished", "sop instance uid"),
    )
    counts = Counter(one.outcome for one in found.items)
    print()
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no record found")
    if found.truncated:
        print_error(f"there are more than {limit} instances: use --limit, or --study, --calling, --from and --to")


@asks_gateway
def report(
    gateway: AskedGateway,
    day: Day = None,
    by: Annotated[By, typer.Option(help="What a line is about.")] = By.SOURCE,
) -> None:
    """Show what came on a day, by source or by study, and what has happened to it so far.

    Each instance counts once: received = owed + dead-lettered + skipped + delivered + discarded.
    """
    client, output = gateway.client(), gateway.output
    if by is By.STUDY:
        print_studies(client.ask(calls.studies(day=day or f"{datetime.now(UTC):%Y-%m-%d}", limit=1000)), output)
        return
    answer = client.ask(calls.report(day))
    if not output.is_table:
        print_data(answer.data, output)
        return
    document = answer.document
    print_table(
        ["from", "studies", "received", "owed", "dead-lettered", "skipped", "delivered", "discarded", "bytes"],
        [_row(source) for source in [*document.sources, document.total]],
        gateway.output,
    )
    if refused := document.total.dead_lettered_deliveries:
        print()
        print(f"dead-lettered deliveries: {refused} (queue list --in DeadLettered), including those of owed instances")
    if not document.complete:
        print_error(
            f"the ledger does not reach back to {document.day}: the records of that day are gone, or were never kept "
            "(spec.ledger.retentionSeconds)"
        )


def _delivery(delivery: DeliveryDocument) -> str:
    reason = f" ({delivery.reason})" if delivery.reason and delivery.state != "Delivered" else ""
    return f"{delivery.destination} {delivery.state}{reason}".lstrip()


def _row(source: SourceReport) -> list[Any]:
    return [
        source.calling_ae_title,
        source.studies,
        source.received_total,
        source.owed,
        source.dead_lettered,
        source.skipped_total,
        source.delivered_total,
        source.discarded_total,
        source.bytes,
    ]
