"""`dicomroute test`: is the other side reachable, does it know us, does it speak DICOM?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from dicomroute_cli.output import Format, print_data, print_table
from dicomroute_cli.target_test import Tested, by_manifests, in_cluster
from dicomroute_client.documents.status import StepDocument

from .options import Context, Output

test = typer.Typer(no_args_is_help=True, help="Test connections: is the other side there, and does it know us?")


@test.callback()
def _test() -> None:
    """Test connections: is the other side there, and does it know us?"""


@test.command()
def target(
    name: Annotated[str, typer.Argument(help="Name of the CloudTarget.")],
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Its namespace. Default: that of kubectl's context.")
    ] = None,
    context: Context = None,
    filename: Annotated[
        list[Path] | None,
        typer.Option(
            "-f",
            "--filename",
            help="Manifests, in the place of a cluster: the target and its Secrets. Repeat -f for more.",
            metavar="FILE|FOLDER",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Test a CloudTarget: its name, TCP, TLS, the credential, and an authenticated query (QIDO-RS).

    In a cluster the gateway of a route that uses it tests it. When there is none, or with -f, this machine does, with
    the Secrets that you may read. Nothing is stored, and nothing of the answer is shown. The exit code is 0 when every
    step passed.
    """
    tested = by_manifests(name, namespace, filename) if filename else in_cluster(name, namespace, context)
    if output is Format.TABLE:
        _print(tested)
    else:
        print_data({"target": tested.target, "by": tested.by, "passed": tested.passed, "probe": tested.data}, output)
    if not tested.passed:
        raise typer.Exit(1)


def _print(tested: Tested) -> None:
    print(f"CloudTarget {tested.target}, tested by {tested.by}")
    print()
    print_table(["step", "result", "ms", "reason", "what it says"], [_row(step) for step in tested.probe.steps])
    print()
    probe = tested.probe
    findings = (("Reachable", probe.reachable), ("Authenticated", probe.authenticated), ("Ready", probe.ready))
    print_table(
        ["condition", "status", "reason", "what it says"],
        [[name, one.status, one.reason, one.message] for name, one in findings],
    )


def _row(step: StepDocument) -> list[Any]:
    return [
        step.step,
        step.result,
        "-" if step.milliseconds is None else step.milliseconds,
        step.reason or "-",
        step.message or "-",
    ]
