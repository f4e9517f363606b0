"""`dicomroute validate`: says what is wrong with manifests."""

from dicomroute_cli.examine import examine
from dicomroute_cli.manifests.world import load_world
from dicomroute_cli.output import Failure, Format, print_data

from .options import Manifests, Output


def validate(filename: Manifests, output: Output = Format.TABLE) -> None:
    """Check manifests as the API server, the operator and the gateway would; a line for each finding."""
    world = load_world(filename)
    findings = examine(world)
    errors = [one for one in findings if one.is_error]
    if output is not Format.TABLE:
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
    counts = (
        (world.routes, "DicomRoute"),
        (world.nodes, "DicomNode"),
        (world.targets, "CloudTarget"),
        (world.profiles, "DeidentificationProfile"),
    )
    if not errors and not any(found for found, _ in counts):
        raise Failure("there is nothing to validate: no DicomRoute, DicomNode, CloudTarget or profile", 2)
    if errors:
        raise Failure(f"{len(errors)} finding{'s' if len(errors) > 1 else ''}", 2)
    if output is Format.TABLE:
        shown = counts if world.profiles else counts[:3]
        print("valid: " + ", ".join(f"{len(found)} {kind}" for found, kind in shown))
