"""What tests of the operator alone have in common."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import ROOT

WHAT = ("charts", "gateway", "operator", "requirements", "Dockerfile.gateway", "Dockerfile.operator")


@pytest.fixture
def version_before(tmp_path: Path) -> Iterator[Path]:
    """A checkout of the version before: that of DICOMROUTE_E2E_BEFORE, a commit, where it is given.

    Otherwise the parent of the last commit that changed the chart or the images.
    """
    git = ["git", "-C", str(ROOT)]
    commit = os.environ.get("DICOMROUTE_E2E_BEFORE")
    if commit is None:
        last = [*git, "log", "-1", "--format=%H", "--", *WHAT]
        commit = f"{subprocess.run(last, check=True, capture_output=True, text=True).stdout.strip()}^"
    folder = tmp_path / "before"
    subprocess.run([*git, "worktree", "add", "--detach", folder, commit], check=True)
    yield folder
    subprocess.run([*git, "worktree", "remove", "--force", folder], check=True)
