"""The process of a gateway, in a pod or under `dicomroute run`."""

import argparse
import asyncio
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

from . import __version__, log
from .configuration.load import configuration_schema
from .dimse.listener import every_address
from .process.gateway import Gateway, Settings


def main() -> None:
    """Run a gateway until SIGTERM or SIGINT."""
    arguments = _parser().parse_args()
    if arguments.print_schema:
        print(json.dumps(configuration_schema(), indent=2))
        return
    if arguments.parent is not None:
        _die_with(arguments.parent)
    log.configure(arguments.log_level)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection and an instance take a descriptor each
    settings = Settings(
        configuration=arguments.configuration,
        secrets=arguments.secrets,
        spool=arguments.spool,
        admin_token=arguments.admin_token,
        bind=arguments.bind or every_address(),
        ports=dict(arguments.listen),
        admin_port=arguments.admin_port,
        health_port=arguments.health_port,
        api_port=arguments.api_port,
        tls_certificate=arguments.tls_certificate,
        tls_key=arguments.tls_key,
        admin_bind=arguments.admin_bind,
    )
    sys.exit(asyncio.run(_run(settings)))


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(settings)
    try:
        await gateway.start()
    except OSError as error:
        print(f"the admin port cannot be used: {error.strerror or error}", file=sys.stderr)
        return 2
    event = {
        "event": "ready" if gateway.is_ready else "not-ready",
        "listeners": gateway.ports,
        "admin": gateway.admin_port,
        "problems": [list(problem) for problem in gateway.observe().problems],
    }
    print(json.dumps(event), flush=True)
    await gateway.run(stop)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dicomroute-gateway", description="The gateway of one DicomRoute.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--print-schema", action="store_true", help="print the JSON Schema of the configuration and exit"
    )
    parser.add_argument("--configuration", type=Path, default=Path("/etc/dicomroute/configuration/v1.json"))
    parser.add_argument(
        "--secrets", type=Path, default=Path("/etc/dicomroute/secrets"), help="folder of SECRET/KEY files"
    )
    parser.add_argument("--spool", type=Path, default=Path("/var/lib/dicomroute/spool"))
    parser.add_argument("--admin-token", type=Path, default=Path("/etc/dicomroute/admin/token"))
    parser.add_argument("--bind", default="", help="address to listen on; default: all addresses, IPv6 and IPv4")
    parser.add_argument(
        "--listen",
        action="append",
        type=_port,
        default=[],
        metavar="NAME=PORT",
        help="replace a listener's port",
    )
    parser.add_argument("--admin-bind", help="address of health and API; default: the value of --bind")
    parser.add_argument("--admin-port", type=int, help="serve health and API on one port, over TLS with a certificate")
    parser.add_argument("--health-port", type=int, help="serve only health and metrics, without TLS")
    parser.add_argument("--api-port", type=int, help="serve only the API, over TLS")
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--parent", type=int, metavar="PID", help="exit as soon as the parent process exits")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its parent is gone, so that the spool's lock is not left behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _port(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    if not name or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PORT")
    return name, int(port)


if __name__ == "__main__":
    main()
