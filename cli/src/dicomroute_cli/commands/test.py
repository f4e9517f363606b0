"""`dicomroute test`: is the other side reachable, does it know us, does it speak DICOM?"""

from typing import Annotated, Any, Final

import typer

from dicomroute_cli.connection_test import (
    Tested,
    node_by_manifests,
    node_in_cluster,
    target_by_manifests,
    target_in_cluster,
)
from dicomroute_cli.output import Failure, Format, print_data, print_table
from dicomroute_client import calls
from dicomroute_client.documents.status import StepDocument

from .options import (
    DEFAULT_STATE,
    Admin,
    Context,
    InPlaceOfCluster,
    ItsNamespace,
    Output,
    Route,
    State,
    TokenFile,
    client_of,
)

_CONDITIONS: Final = {"CloudTarget": ("Reachable", "Authenticated", "Ready"), "DicomNode": ("Reachable",)}

test = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Test connections: does the other side answer, and does it accept us?",
)


@test.callback()
def _test() -> None:
    """Test connections: does the other side answer, and does it accept us?"""


@test.command()
def target(
    name: Annotated[str, typer.Argument(help="Name of the CloudTarget.")],
    namespace: ItsNamespace = None,
    context: Context = None,
    filename: InPlaceOfCluster = None,
    output: Output = Format.TABLE,
) -> None:
    """Test a CloudTarget: name, TCP, TLS, credential, and an authenticated query (QIDO-RS).

    In a cluster, the gateway of a route with this target runs the test. Without such a gateway, or with -f, this
    machine runs it with the Secrets that you may read. Nothing is stored, and the answer is not shown. The exit code
    is 0 if every step passed.
    """
    tested = target_by_manifests(name, namespace, filename) if filename else target_in_cluster(name, namespace, context)
    _show(tested, "target", output)


@test.command()
def node(
    name: Annotated[str, typer.Argument(help="Name of the DicomNode.")],
    calling: Annotated[
        str,
        typer.Option(help="Calling AE title. Default: the title of the route that delivers to the node.", metavar="AE"),
    ] = "",
    namespace: ItsNamespace = None,
    context: Context = None,
    filename: InPlaceOfCluster = None,
    admin: Admin = None,
    route: Route = None,
    token_file: TokenFile = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Test a DicomNode: name, TCP, TLS, an association and a C-ECHO, with the AE titles of deliveries.

    In a cluster, the gateway of a route that delivers to the node runs the test; --route or --admin selects the
    gateway. Without such a gateway, or with -f, this machine runs it with the certificates that you may read. The
    exit code is 0 if every step passed; a node that accepts an association but does not offer C-ECHO passes too.
    """
    if admin is not None or route is not None:
        if filename:
            raise Failure("with -f, this machine runs the test: leave out --admin and --route", 2)
        client = client_of(admin, token_file, state, route, namespace, context)
        by = f"the gateway of route {route}" if route is not None else f"the gateway at {admin}"
        answer = client.ask(calls.probe("DicomNode", name, calling))
        tested = Tested("DicomNode", name, by, answer.document, answer.data)
    elif filename:
        tested = node_by_manifests(name, namespace, filename, calling)
    else:
        tested = node_in_cluster(name, namespace, context, calling)
    _show(tested, "node", output)


def _show(tested: Tested, what: str, output: Format) -> None:
    if output.is_table:
        _print(tested, output)
    else:
        print_data({what: tested.name, "by": tested.by, "passed": tested.passed, "probe": tested.data}, output)
    if not tested.passed:
        raise typer.Exit(1)


def _print(tested: Tested, output: Format) -> None:
    print(f"{tested.kind} {tested.name}, tested by {tested.by}")
    print()
    rows = [_row(step) for step in tested.probe.steps]
    print_table(["step", "result", "ms", "reason", "what it means"], rows, output)
    print()
    findings = [(name, getattr(tested.probe, name.lower())) for name in _CONDITIONS[tested.kind]]
    print_table(
        ["condition", "status", "reason", "what it means"],
        [[name, one.status, one.reason, one.message] for name, one in findings],
        output,
    )


def _row(step: StepDocument) -> list[Any]:
    return [
        step.step,
        step.result,
        "-" if step.milliseconds is None else step.milliseconds,
        step.reason or "-",
        step.message or "-",
    ]
