"""`dicomroute run`: runs the routes of manifests on this machine."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicomroute_cli.output import Failure
from dicomroute_cli.supervise import RunSettings
from dicomroute_cli.supervise import run as supervise

from .options import DEFAULT_STATE, Manifests, State


class LogLevel(StrEnum):
    """What is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    filename: Manifests,
    state: State = DEFAULT_STATE,
    bind: Annotated[str, typer.Option(help="Address that modalities connect to.")] = "127.0.0.1",
    admin_bind: Annotated[
        str, typer.Option(help="Address for health, metrics and the admin API (TLS). Default: only this machine.")
    ] = "127.0.0.1",
    admin_port: Annotated[
        int,
        typer.Option(
            help="Admin port of the first route; further routes count up from it. 0: any free port.", min=0, max=65535
        ),
    ] = 8080,
    port: Annotated[
        list[str] | None,
        typer.Option(help="Replace the port of a listener. 0: any free port.", metavar="NAMESPACE/ROUTE/LISTENER=N"),
    ] = None,
    console: Annotated[
        bool,
        typer.Option(
            "--console", help="Also serve the console, only on this machine. The last line of output shows its address."
        ),
    ] = False,
    console_port: Annotated[int, typer.Option(help="Port of the console. 0: any free port.", min=0, max=65535)] = 8090,
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level to log.")] = LogLevel.INFO,
) -> None:
    """Run every DicomRoute of the manifests on this machine, until SIGTERM.

    When all listeners are open, one line of JSON on standard output contains their addresses. Logs go to standard
    error. Changed manifests take effect without a restart.
    """
    settings = RunSettings(
        paths=filename,
        state=Path(state).absolute(),
        bind=bind,
        admin_bind=admin_bind,
        admin_port=admin_port,
        ports=dict(_port(text) for text in port or []),
        log_level=str(log_level),
        console_port=console_port if console else None,
    )
    code = asyncio.run(supervise(settings))
    if code:
        raise typer.Exit(code)


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if name.count("/") != 2 or not number.isdecimal() or int(number) > 65535:
        raise Failure(f"--port {text}: write NAMESPACE/ROUTE/LISTENER=N, such as default/ct/dicom=11112", 2)
    return name, int(number)
