"""The command of the operator's process."""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path

import yaml

from . import log
from .handlers.run import LeaseLostError, Operator, OperatorSettings, ScopeChangedError
from .kube.client import Client
from .reconcile.route import RouteSettings
from .render import names
from .render.settings import GatewayDefaults, RenderSettings

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def main() -> None:
    """Run the operator until SIGTERM or SIGINT."""
    arguments = _parser().parse_args()
    log.configure(arguments.log_level)
    try:
        admin_key = arguments.admin_key_file.read_bytes().strip()
        defaults = _defaults(arguments.gateway_defaults)
    except (OSError, ValueError) as error:
        sys.exit(f"dicomroute-operator: {error}")
    if len(admin_key) < 32:
        sys.exit(f"dicomroute-operator: {arguments.admin_key_file} has fewer than 32 bytes: let the chart create it")
    namespace = arguments.namespace or (_NAMESPACE_FILE.read_text() if _NAMESPACE_FILE.exists() else "default")
    settings = OperatorSettings(
        route=RouteSettings(
            render=RenderSettings(
                gateway_image=arguments.gateway_image, operator_namespace=namespace, defaults=defaults
            ),
            admin_key=admin_key,
            operator=f"{namespace}/{arguments.lease}",
            max_concurrent_rollouts=arguments.max_concurrent_rollouts,
        ),
        namespace=namespace,
        identity=os.environ.get("POD_NAME") or socket.gethostname(),
        lease=arguments.lease,
        namespaces=tuple(arguments.watch_namespace),
        namespace_selector=arguments.namespace_selector,
        health_port=arguments.health_port,
    )
    client = Client.connect(names.MANAGER, arguments.context)
    try:
        asyncio.run(Operator(client, settings).run())
    except (LeaseLostError, ScopeChangedError) as error:
        sys.exit(f"dicomroute-operator: {error}")


def _defaults(path: Path | None) -> GatewayDefaults:
    if path is None:
        return GatewayDefaults()
    document = yaml.safe_load(path.read_text()) or {}
    return GatewayDefaults.model_validate(document)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dicomroute-operator", description="Turns DicomRoute manifests into gateways."
    )
    parser.add_argument("--gateway-image", required=True, help="gateway image for routes without an image of their own")
    parser.add_argument(
        "--admin-key-file",
        type=Path,
        required=True,
        help="file with the key that every gateway's admin credential is derived from",
    )
    parser.add_argument("--gateway-defaults", type=Path, metavar="FILE", help="YAML with defaults for all gateways")
    parser.add_argument("--namespace", default="", help="the operator's own namespace; default: the pod's")
    watch = parser.add_mutually_exclusive_group()
    watch.add_argument(
        "--watch-namespace", action="append", default=[], metavar="NAME", help="namespace to watch (repeatable)"
    )
    watch.add_argument(
        "--namespace-selector", default="", metavar="LABELS", help="watch the namespaces with these labels"
    )
    parser.add_argument(
        "--lease", default="dicomroute-operator", metavar="NAME", help="name of the Lease that the operator holds"
    )
    parser.add_argument("--max-concurrent-rollouts", type=_positive, default=1, metavar="N")
    parser.add_argument("--health-port", type=int, default=8080)
    parser.add_argument("--context", help="context in the kubectl configuration, outside a cluster")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    main()
