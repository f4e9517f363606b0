"""`dicomroute refused`: who was refused by a gateway, and what would let them in."""

from typing import Annotated, Any

import typer
import yaml

from dicomroute_cli.admit import advices
from dicomroute_cli.output import Format, print_data, print_table
from dicomroute_client import calls
from dicomroute_client.documents.document import text_of
from dicomroute_client.documents.refused import RefusedCaller

from .options import AskedGateway, asks_gateway


class _Quoted(str):
    """A text that stands in quotes: `1e3` and `y` are texts to one reader of YAML, a number and a truth to another."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes manifests."""


_Dumper.add_representer(_Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "'"))


@asks_gateway
def refused(
    gateway: AskedGateway,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Print DicomNodes that would allow these callers, for kubectl apply.")
    ] = False,
) -> None:
    """List the callers that a gateway has refused since it started, the last one first.

    With --manifest, print DicomNodes that would allow them, or a comment that says why a DicomNode does not help. A
    caller chooses its own title: allow only callers that you know.
    """
    answer = gateway.client().ask(calls.refused())
    callers = answer.document.callers
    if manifest:
        _print_manifests(callers, gateway.output)
    elif not gateway.output.is_table:
        print_data(answer.data, gateway.output)
    else:
        _print_callers(callers, gateway.output)


def _print_callers(callers: list[RefusedCaller], output: Format) -> None:
    print_table(
        ["from", "title", "called", "listener", "reason", "count", "first", "last"],
        [
            [
                one.address,
                "-" if one.calling_ae_title is None else one.calling_ae_title,
                "-" if one.called_ae_title is None else one.called_ae_title,
                one.listener,
                one.reason,
                one.count,
                text_of(one.first_time),
                text_of(one.last_time),
            ]
            for one in callers
        ],
        output,
        wide=("listener", "first"),
    )
    if callers:
        print()
        _print_manifests(callers, Format.TABLE)


def _print_manifests(callers: list[RefusedCaller], output: Format) -> None:
    found = advices(callers)
    if output is Format.JSON:
        items = [one.manifest for one in found if one.manifest is not None]
        print_data({"apiVersion": "v1", "kind": "List", "items": items}, output)
        return
    for advice in found:
        print(f"# {advice.sentence}")
        if advice.manifest is not None:
            print(manifest_text(advice.manifest), end="")
            print("---")


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return a DicomNode as YAML, with what came from a stranger in quotes."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    quoted = {
        **manifest,
        "metadata": {**metadata, "name": _Quoted(metadata["name"])},
        "spec": {**spec, "aeTitle": _Quoted(spec["aeTitle"])},
    }
    return yaml.dump(quoted, Dumper=_Dumper, sort_keys=False, width=120)
