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
    help="Test connections: is the other side there, and does it know us?",
)


@test.callback()
def _test() -> None:
    """Test connections: is the other side there, and does it know us?"""


@test.command()
def target(
    name: Annotated[str, typer.Argument(help="Name of the CloudTarget.")],
    namespace: ItsNamespace = None,
    context: Context = None,
    filename: InPlaceOfCluster = None,
    output: Output = Format.TABLE,
) -> None:
    """Test a CloudTarget: its name, TCP, TLS, the credential, and an authenticated query (QIDO-RS).

    In a cluster the gateway of a route that uses it tests it. When there is none, or with -f, this machine does, with
    the Secrets that you may read. Nothing is stored, and nothing of the answer is shown. The exit code is 0 when every
    step passed.
    """
    tested = target_by_manifests(name, namespace, filename) if filename else target_in_cluster(name, namespace, context)
    _show(tested, "target", output)


@test.command()
def node(
    name: Annotated[str, typer.Argument(help="Name of the DicomNode.")],
    calling: Annotated[
        str, typer.Option(help="AE title to call with. Default: that of the route that delivers to it.", metavar="AE")
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
    """Test a DicomNode: its name, TCP, TLS, an association and a C-ECHO, with the titles that deliveries have.

    In a cluster the gateway of a route that delivers to it tests it; --route or --admin names the gateway. When there
    is none, or with -f, this machine does, with the certificates that you may read. The exit code is 0 when every step
    passed; a node that associates and takes no C-ECHO passes too.
    """
    if admin is not None or route is not None:
        if filename:
            raise Failure("with -f this machine tests: leave --admin and --route out", 2)
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
    print_table(["step", "result", "ms", "reason", "what it says"], rows, output)
    print()
    findings = [(name, getattr(tested.probe, name.lower())) for name in _CONDITIONS[tested.kind]]
    print_table(
        ["condition", "status", "reason", "what it says"],
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
