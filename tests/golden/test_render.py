"""What is rendered of the golden inputs; `make golden` accepts a change, and its diff is to be read."""

from pathlib import Path

import pytest
import yaml

from dicomroute_cli.examine import inputs_of
from dicomroute_cli.manifests.world import load_world
from dicomroute_operator.checks.route import check_route
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.render.gateway_configuration import configuration_text
from dicomroute_operator.render.objects import AdminCredential
from dicomroute_operator.render.route import render_route
from dicomroute_operator.render.settings import RenderSettings

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/input.yaml"))
SETTINGS = RenderSettings(
    gateway_image="registry.example/dicomroute-gateway:0.1.0",
    operator_namespace="dicomroute-system",
)
CREDENTIAL = AdminCredential(
    "a token", "a certificate in PEM", "its key in PEM", "a key of configurations", "a key of tokens"
)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_rendered_objects_are_the_golden_ones(case: Path, request: pytest.FixtureRequest) -> None:
    world = load_world([case / "input.yaml"])
    assert [str(finding) for finding in world.findings] == []
    (key,) = world.routes
    inputs = inputs_of(world, key)
    objects = render_route(inputs, SETTINGS, CREDENTIAL)
    found = [*check_route(inputs), *(one for target in world.targets.values() for one in check_target(target))]
    output = {
        "objects.yaml": yaml.safe_dump_all(objects.manifests(), sort_keys=False, width=120),
        "configuration.json": configuration_text(dict(objects.configuration)),
        "findings.txt": "".join(
            f"{one.kind}/{one.name} {one.type}={one.status}/{one.reason}: {one.message}\n" for one in found
        ),
    }
    for name, text in output.items():
        file = case / name
        if request.config.getoption("--update-golden"):
            file.write_text(text)
        assert file.read_text() == text, f"{file} differs: read the diff, then `make golden`"


def test_rendering_twice_gives_the_same() -> None:
    for case in CASES:
        first, second = (
            render_route(inputs_of(world, key), SETTINGS, CREDENTIAL) for world in _twice(case) for key in world.routes
        )
        assert first == second


def _twice(case: Path):
    return load_world([case / "input.yaml"]), load_world([case / "input.yaml"])
