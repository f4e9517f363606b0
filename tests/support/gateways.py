"""What a gateway needs to be started alone: the files that `dicomroute run` or the operator would give it."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from manifests import Json

from dicomroute_cli.examine import inputs_of
from dicomroute_cli.manifests.world import load_world
from dicomroute_operator.render.gateway_configuration import configuration_text, gateway_configuration


def prepare(folder: Path, documents: Sequence[Json]) -> list[str]:
    """Write the files of the one route in these manifests; return the arguments of a gateway without its ports."""
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    (folder / "manifests.yaml").write_text(yaml.safe_dump_all(documents))
    world = load_world([folder / "manifests.yaml"])
    assert world.findings == []
    (key,) = world.routes
    (folder / "configuration.json").write_text(configuration_text(gateway_configuration(inputs_of(world, key))))
    (folder / "token").write_text("an-example-token")
    return [
        f"--configuration={folder / 'configuration.json'}",
        f"--secrets={folder / 'secrets'}",
        f"--spool={folder / 'spool'}",
        f"--admin-token={folder / 'token'}",
        "--bind=127.0.0.1",
    ]
