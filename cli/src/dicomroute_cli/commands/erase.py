"""`dicomroute erase`: removes what a gateway's spool has of a study or a patient."""

import sys
from typing import Annotated

import typer

from dicomroute_cli.output import Failure, print_data, print_table
from dicomroute_client import calls

from .options import AskedGateway, asks_gateway


@asks_gateway
def erase(
    gateway: AskedGateway,
    study: Annotated[str, typer.Option(help="Study Instance UID.", metavar="UID")] = "",
    patient: Annotated[str, typer.Option(help="Patient ID, as it came.", metavar="ID")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
) -> None:
    """Erase a study or a patient from a gateway's spool: bytes, what was made of them, quarantine and catalogue.

    What was owed of it is given up, and counts as skipped; there is no way back. What was delivered stays where it is.
    """
    if bool(study) == bool(patient):
        raise Failure("name what is to be erased: --study UID or --patient ID", 2)
    if not yes and sys.stdin.isatty():
        typer.confirm("Erase it from the spool? There is no way back.", abort=True)
    answer = gateway.client().ask(calls.erase(study, patient))
    report = answer.document
    if not gateway.output.is_table:
        print_data(answer.data, gateway.output)
    else:
        print_table(
            ["instances", "bytes", "deliveries given up", "not readable"],
            [[str(len(report.instances)), str(report.bytes), str(report.deliveries), str(len(report.unread))]],
        )
    if report.unread:
        raise Failure(f"{len(report.unread)} instances could not be read, and were left: look at their numbers", 1)
