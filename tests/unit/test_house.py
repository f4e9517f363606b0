"""The house is as it says: generated files are fresh, nothing shadows the standard library."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from dicomroute_gateway.configuration.load import configuration_schema
from dicomroute_operator.api.conditions import CONDITIONS
from dicomroute_operator.kinds.generate import generated


def test_generated_files_are_what_the_sources_make(root: Path) -> None:
    for path, content in generated(root / "crds", root / "docs").items():
        assert path.read_text() == content, f"{path.name} is stale: run `make generate`"
    schema = json.loads((root / "gateway" / "configuration.schema.json").read_text())
    assert schema == configuration_schema(), "gateway/configuration.schema.json is stale: run `make generate`"


def test_the_folder_operator_is_no_package(root: Path) -> None:
    shadowing = [path for path in root.glob("operator/**/*.py") if path.name == "operator.py"]
    assert not (root / "operator" / "__init__.py").exists()
    assert shadowing == []


def test_requirements_are_hashed_and_name_no_address(root: Path) -> None:
    for path in root.glob("requirements/*.txt"):
        text = path.read_text()
        pinned = re.findall(r"^[a-z0-9._-]+==\S+", text, re.MULTILINE)
        assert pinned
        assert len(pinned) <= text.count("--hash=sha256:")
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE), "options do not belong into a lock file"


def test_source_files_are_rooms_with_one_purpose(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=root, check=True, capture_output=True, text=True).stdout
    sources = [root / name for name in tracked.split() if "/src/" in name]
    long = {path.name: lines for path in sources if (lines := len(path.read_text().splitlines())) > 500}
    assert long == {}
    for folder in {path.parent for path in sources}:
        purpose = (folder / "__init__.py").read_text()
        assert purpose.startswith('"""'), f"{folder}/__init__.py does not say what lives there"


def test_every_claim_of_the_security_page_names_the_tests_that_show_it(root: Path) -> None:
    page = (root / "SECURITY.md").read_text()
    table = page[page.index("| what holds |") : page.index("## What is not enforced")]
    rows = [row for row in table.splitlines()[2:] if row.startswith("|")]
    assert len(rows) >= 20
    _check_that_tests_exist(root, rows)


@pytest.mark.parametrize("name", ["capability-levels.md", "clusters.md"])
def test_every_claim_on_clusters_names_the_tests_that_show_it(root: Path, name: str) -> None:
    page = (root / "docs" / name).read_text()
    rows = [row for row in page.splitlines() if row.startswith("|") and "---" not in row and "shown by" not in row]
    assert len(rows) >= 8
    _check_that_tests_exist(root, rows)


def test_the_reasons_of_the_page_on_clusters_are_declared(root: Path) -> None:
    page = (root / "docs" / "clusters.md").read_text()
    declared = {(kind.declared_type(), str(one)) for kind, _ in CONDITIONS for one in kind}
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE)
    assert len(rows) >= 15
    for condition, reasons in rows:
        assert {(condition, one) for one in re.findall(r"`(\w+)`", reasons)} <= declared


def _check_that_tests_exist(root: Path, rows: list[str]) -> None:
    for row in rows:
        shown = row.rstrip("| ").rpartition("| ")[2]
        named = re.findall(r"`([^`:]+)::(\w+)`", shown)
        assert named, f"a claim without a test: {row}"
        for path, name in named:
            assert f"def {name}(" in (root / path).read_text(), f"{path} has no {name}"


def test_links_between_pages_lead_somewhere(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=root, check=True, capture_output=True, text=True).stdout
    pages = [root / name for name in tracked.split()]
    anchors = {
        page: {_anchor(line) for line in page.read_text().splitlines() if line.startswith("#")} for page in pages
    }
    broken = []
    for page in pages:
        for target, fragment in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
            led = (page.parent / target).resolve() if target else page
            if not led.exists() or (fragment and led in anchors and fragment not in anchors[led]):
                broken.append(f"{page.relative_to(root)}: {target}#{fragment}")
    assert broken == []


def _anchor(heading: str) -> str:
    """Return what a heading is linked by."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


AT_MOST = {"a DIMSE verb": 1, "an operation on the queue": 3, "a kind": 6, "a column of `kubectl get`": 1}


def test_the_files_of_every_change_exist_and_are_few(root: Path) -> None:
    page = (root / "CONTRIBUTING.md").read_text()
    rows = [row for row in page[page.index("## Where to change what") :].splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= 10
    counted = {}
    for row in rows:
        change, files, new = (cell.strip() for cell in row.strip("|").split("|"))
        named = {cell: re.findall(r"`([^`]*/[^`]*)`", cell) for cell in (files, new)}
        assert named[files], change
        for name in (*named[files], *named[new]):
            package = name.partition("/")[0]
            assert (root / name.replace("…", f"src/dicomroute_{package}")).exists(), f"{change}: there is no {name}"
        counted[change] = len(named[files])
    assert AT_MOST.keys() <= counted.keys()
    assert {change: count for change, count in counted.items() if count > AT_MOST.get(change, count)} == {}
