"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from control_plane import ControlPlane

from dicomroute_operator.kinds.crd import crds

# How long one example takes says what else the machine is doing; pytest's own time-out ends what hangs.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="accept today's output as the golden one")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server that serves the CRDs."""
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.install_crds(crds())
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return Path(__file__).parents[1]
