"""Writes what is made from the models: `python -m dicomroute_operator.kinds.generate CRDS_FOLDER DOCS_FOLDER`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from dicomroute_operator.api.conditions import CONDITIONS, EVERY_KIND, NEGATIVE
from dicomroute_operator.api.meta import API_VERSION

from .crd import Json, crd, open_api_schema
from .kind import Kind
from .listed import KINDS


def generated(crds_folder: Path, docs_folder: Path) -> Mapping[Path, str]:
    """Return the content of every generated file."""
    files = {crds_folder / f"{one.plural}.yaml": _yaml(crd(one)) for one in KINDS.values()}
    files[docs_folder / "conditions.md"] = conditions_page()
    for one in KINDS.values():
        files[docs_folder / "reference" / f"{one.name.lower()}.md"] = reference_page(one)
    return files


def reference_page(kind: Kind) -> str:
    """Return the page that lists every field of a kind."""
    schema = open_api_schema(kind.model)
    lines = [
        f"# {kind.name}",
        "",
        "Made from `operator/src/dicomroute_operator/api/` by `make generate`; do not edit.",
        "",
        f"{schema['description']} `kubectl explain {kind.name.lower()}` says the same. Short name: "
        f"`{kind.short_name}`; API version: `{API_VERSION}`.",
        "",
    ]
    for part in ("spec", "status"):
        lines += [f"## {part}", "", "| field | type | default | |", "|---|---|---|---|"]
        lines += [_row(path, field, required=required) for path, field, required in _fields(schema, part)]
        lines.append("")
    return "\n".join(lines)


def _fields(schema: Json, name: str, prefix: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Yield path, schema and whether it is required of every field within the property `name`."""
    inner = schema["properties"][name]
    path = f"{prefix}{name}"
    if prefix or "properties" not in inner:
        yield path, inner, name in schema.get("required", [])
    holder, step = (inner["items"], "[].") if inner.get("type") == "array" else (inner, ".")
    for one in holder.get("properties", {}):
        yield from _fields(holder, one, f"{path}{step}")


def _row(path: str, field: Json, *, required: bool) -> str:
    kind = " \\| ".join(field["enum"]) if "enum" in field else str(field.get("type", "integer or string"))
    default = field.get("default")
    shown = "required" if required else "" if default in (None, "", {}, []) else f"`{json.dumps(default)}`"
    sentences = [field.get("description", "")]
    sentences += [
        f"Refused otherwise: {rule['message']}."
        for rule in field.get("x-kubernetes-validations", [])
        if "message" in rule
    ]
    text = " ".join(sentences).replace("|", "\\|")
    return f"| `{path}` | {kind} | {shown} | {text} |"


def conditions_page() -> str:
    """Return the page that lists conditions and reasons."""
    lines = [
        "# Conditions",
        "",
        "Made from `operator/src/dicomroute_operator/api/conditions.py` by `make generate`; do not edit.",
        "",
        "A condition describes the state of an object: its type, its status (`True`, `False`, `Unknown`), a reason in "
        "one word for programs, and a message for people. `observedGeneration` is the version of the manifest that the "
        "condition describes.",
        "",
    ]
    for reasons, those in CONDITIONS:
        kinds = tuple(KINDS) if those == EVERY_KIND else those
        name = reasons.declared_type()
        title = name if name == reasons.__name__ else f"{name} of a {kinds[0]}"
        when = " Present only while it is `True`." if reasons in NEGATIVE else ""
        lines += [
            f"## {title}",
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
