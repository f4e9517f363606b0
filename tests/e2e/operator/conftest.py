"""The version before this one, whose images are built beside the tests that need none of them."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import ROOT, VersionBefore, built_images

WHAT = ("charts", "gateway", "operator", "requirements", "Dockerfile.gateway", "Dockerfile.operator")


@pytest.fixture(scope="session")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VersionBefore]:
    """The version before: that of DICOMROUTE_E2E_BEFORE, a commit, where it is given.

    Otherwise the parent of the last commit that changed the chart or the images.
    """
    git = ["git", "-C", str(ROOT)]
    commit = os.environ.get("DICOMROUTE_E2E_BEFORE")
    if commit is None:
        last = [*git, "log", "-1", "--format=%H", "--", *WHAT]
        commit = f"{subprocess.run(last, check=True, capture_output=True, text=True).stdout.strip()}^"
    folder = tmp_path_factory.mktemp("version") / "before"
    subprocess.run([*git, "worktree", "add", "--detach", folder, commit], check=True)
    with ThreadPoolExecutor(1) as building:
        yield VersionBefore(folder, building.submit(built_images, folder))
    subprocess.run([*git, "worktree", "remove", "--force", folder], check=True)


@pytest.fixture(scope="session", autouse=True)
def built_early(request: pytest.FixtureRequest) -> None:
    """Begin to build before the first test, when there is one that asks for the version before."""
    if any(
        "version_before" in item.fixturenames for item in request.session.items if isinstance(item, pytest.Function)
    ):
        request.getfixturevalue("version_before")
