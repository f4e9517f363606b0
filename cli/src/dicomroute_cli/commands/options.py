"""Options that several commands share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

from dicomroute_cli.admin_client import AdminClient
from dicomroute_cli.output import Failure, Format

Manifests = Annotated[
    list[Path],
    typer.Option(
        "-f", "--filename", help="A manifest, or a folder of manifests. Repeat -f for more.", metavar="FILE|FOLDER"
    ),
]
InPlaceOfCluster = Annotated[
    list[Path] | None,
    typer.Option(
        "-f",
        "--filename",
        help="Manifests instead of a cluster, with the Secrets that they reference. Repeat -f for more.",
        metavar="FILE|FOLDER",
    ),
]
Output = Annotated[
    Format, typer.Option("-o", "--output", help="Output format. A table fits 120 columns, a wide one shows everything.")
]
State = Annotated[Path, typer.Option("--state", help="State folder of `dicomroute run`.", metavar="FOLDER")]
DEFAULT_STATE = Path(".dicomroute")

Admin = Annotated[
    str | None, typer.Option(help="Address of the gateway's admin API, such as 127.0.0.1:8080.", metavar="URL")
]
Route = Annotated[str | None, typer.Option(help="DicomRoute in kubectl's cluster, instead of --admin.", metavar="NAME")]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Namespace of the route. Default: the namespace of kubectl's context."),
]
ItsNamespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Namespace of the object. Default: the namespace of kubectl's context."),
]
Context = Annotated[str | None, typer.Option(help="kubectl context. Default: the current context.")]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with the admin token. Default: the token in the state folder.", metavar="FILE")
]


P = ParamSpec("P")


def client_of(
    admin: str | None,
    token_file: Path | None,
    state: Path,
    route: str | None,
    namespace: str | None,
    context: str | None,
) -> AdminClient:
    """Return a client of the gateway that the options name. Raises Failure."""
    if (admin is None) == (route is None):
        raise Failure("name the gateway with either --admin URL, or --route NAME in kubectl's cluster, but not both", 2)
    if route is not None:
        return AdminClient.of_route(route, namespace, context)
    assert admin is not None
    return AdminClient.at(admin, token_file, state)


@dataclass(frozen=True)
class AskedGateway:
    """The gateway that a command asks, and how it prints what that answers: the options of `asks_gateway`."""

    admin: Admin = None
    route: Route = None
    namespace: Namespace = None
    context: Context = None
    token_file: TokenFile = None
    state: State = DEFAULT_STATE
    output: Output = Format.TABLE

    def client(self) -> AdminClient:
        """Return its client. Raises Failure."""
        return client_of(self.admin, self.token_file, self.state, self.route, self.namespace, self.context)


def asks_gateway(command: Callable[Concatenate[AskedGateway, P], None]) -> Callable[..., None]:
    """Return a command with the options of a Gateway in the place of its first parameter.

    The options that name the gateway come before its own options, the others after them.
    """
    shared = list(inspect.signature(AskedGateway).parameters.values())
    own = list(inspect.signature(command).parameters.values())[1:]

    @wraps(command)
    def with_options(*arguments: P.args, **values: P.kwargs) -> None:
        gateway = AskedGateway(**{one.name: values.pop(one.name) for one in shared})  # type: ignore[arg-type]
        command(gateway, *arguments, **values)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*shared[:4], *own, *shared[4:])]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options
