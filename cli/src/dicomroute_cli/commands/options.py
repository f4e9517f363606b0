"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

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
Output = Annotated[Format, typer.Option("-o", "--output", help="Output format.")]
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
