"""Writes what is made from the models: `python -m dicomroute_operator.api.generate CRDS_FOLDER DOCS_FOLDER`."""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from .conditions import CONDITIONS, NEGATIVE
from .crd import RESOURCES, crd


def generated(crds_folder: Path, docs_folder: Path) -> Mapping[Path, str]:
    """Return the content of every generated file."""
    files = {crds_folder / f"{one.plural}.yaml": _yaml(crd(one)) for one in RESOURCES}
    files[docs_folder / "conditions.md"] = conditions_page()
    return files


def conditions_page() -> str:
    """Return the page that lists conditions and reasons."""
    lines = [
        "# Conditions",
        "",
        "Made from `operator/src/dicomroute_operator/api/conditions.py` by `make generate`; do not edit.",
        "",
        "A condition says how an object stands: its type, its status (`True`, `False`, `Unknown`), a reason in one "
        "word for programs, and a message for people. `observedGeneration` is the version of the manifest that it "
        "speaks of.",
        "",
    ]
    for reasons, kinds in CONDITIONS:
        when = " Present only while it is `True`." if reasons in NEGATIVE else ""
        lines += [
            f"## {reasons.__name__}",
            "",
            f"{_sentences(reasons.__doc__ or '').removesuffix(' Present only while true.')}{when} "
            f"On: {', '.join(kinds)}.",
            "",
            "| reason | what it means and what to do |",
            "|---|---|",
        ]
        lines += [f"| `{reason}` | {reason.meaning} |" for reason in reasons]
        lines.append("")
    return "\n".join(lines)


def _sentences(text: str) -> str:
    return " ".join(text.split())


def _yaml(document: object) -> str:
    return "# Made by `make generate`; do not edit.\n" + yaml.safe_dump(document, sort_keys=False, width=120)


if __name__ == "__main__":
    for path, content in generated(Path(sys.argv[1]), Path(sys.argv[2])).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
