"""What is built of equal sources is equal, and what is built is locked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["client", "console", "operator", "gateway"])
def test_equal_sources_give_equal_wheels(tmp_path: Path, package: str) -> None:
    found = []
    for number in range(2):
        sources = tmp_path / f"sources-{number}" / package
        shutil.copytree(ROOT / package, sources, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        for file in sources.rglob("*"):
            os.utime(file, (1_700_000_000 + number * 86_400, 1_700_000_000 + number * 86_400))
        out = tmp_path / f"wheels-{number}"
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        subprocess.run([*command, f"--wheel-dir={out}", str(sources)], check=True, env=environment)
        (wheel,) = out.iterdir()
        found.append(wheel.read_bytes())
    assert found[0] == found[1]


def test_the_base_of_the_images_is_an_argument() -> None:
    for name in ("operator", "gateway", "console"):
        text = (ROOT / f"Dockerfile.{name}").read_text()
        assert "ARG BASE_IMAGE=" in text
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE_IMAGE}"}
        assert "SOURCE_DATE_EPOCH" in text
