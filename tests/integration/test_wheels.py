"""The packages as wheels: whoever installs them has the command line and all that its commands read."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "operator", "gateway", "cli", "console")


def said(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=240, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    said("make", "--no-print-directory", "wheel", f"WHEELS={folder}")
    return sorted(folder.iterdir())


def test_a_wheel_has_every_file_of_its_sources(wheels: list[Path]) -> None:
    packed = {name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        name.split("/src/", 1)[1]
        for name in said("git", "ls-files", "--cached", *(f"{one}/src" for one in PACKAGES)).splitlines()
        if (ROOT / name).exists()
    }
    assert len(wheels) == len(PACKAGES)
    assert sources - packed == set(), "not in [tool.setuptools.package-data]"
    made_by_setup = {name for name in packed if name.startswith("dicomroute_console/web/static/vendor/")}
    assert packed - sources - made_by_setup == set(), "left over from an earlier build"
    assert made_by_setup, "the console's pages need them"


def test_pip_installs_them_and_the_command_line_works(wheels: list[Path], tmp_path: Path) -> None:
    """Into an environment of its own, where what they depend on is what `make setup` has installed."""
    home = tmp_path / "home"
    venv.create(home, with_pip=False)
    installed = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (installed / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = (sys.executable, "-m", "pip", "--python", home, "--disable-pip-version-check")
    said(*pip, "install", "--quiet", "--no-index", "--no-deps", *wheels)
    python = home / "bin/python"
    said(*pip, "check")
    where = said(python, "-c", "import dicomroute_cli, dicomroute_gateway; print(dicomroute_gateway.__file__)")
    assert Path(where.strip()).is_relative_to(home)
    assert said(home / "bin/dicomroute", "--help").startswith("Usage: dicomroute ")
    assert said(home / "bin/kubectl-dicom", "--help").startswith("Usage: kubectl dicom ")
    assert "valid: 1 DicomRoute" in said(home / "bin/dicomroute", "validate", "-f", "examples/local")
    assert (
        said(home / "bin/dicomroute-gateway", "--print-schema")
        == (ROOT / "gateway/configuration.schema.json").read_text()
    )
