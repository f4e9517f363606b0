"""`dicomroute validate`: says what is wrong with manifests."""

from typing import Final

from dicomroute_cli.examine import examine
from dicomroute_cli.manifests.world import load_world
from dicomroute_cli.output import Failure, Format, print_data
from dicomroute_operator.api.node import DicomNode
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget

from .options import Manifests, Output

_EVERY_ROUTE_HAS: Final = (DicomRoute.kind, DicomNode.kind, CloudTarget.kind)
"""Kinds that are counted where there is none, too."""


def validate(filename: Manifests, output: Output = Format.TABLE) -> None:
    """Check manifests as the API server, the operator and the gateway would.

    Prints one line per finding, with its file, object and field.
    """
    world = load_world(filename)
    findings = examine(world)
    errors = [one for one in findings if one.is_error]
    if not output.is_table:
        print_data(
            [
                {
                    "level": "error" if one.is_error else "warning",
                    "file": one.file,
                    "object": one.object,
                    "field": one.field,
                    "message": one.message,
                }
                for one in findings
            ],
            output,
        )
    else:
        for one in findings:
            print(f"{'' if one.is_error else 'warning: '}{one}")
    counts = {name: len(found) for name, found in world.objects.items()}
    if not errors and not any(counts.values()):
        raise Failure("there is nothing to validate: no DicomRoute, DicomNode, CloudTarget or profile", 2)
    if errors:
        raise Failure(f"{len(errors)} finding{'s' if len(errors) > 1 else ''}", 2)
    if output.is_table:
        shown = [(kind, count) for kind, count in counts.items() if count or kind in _EVERY_ROUTE_HAS]
        print("valid: " + ", ".join(f"{count} {kind}" for kind, count in shown))
