"""Writes what is made from the list of events: the types in docs/events.md, and the JSON Schema of each type's data."""

import json
import sys
from pathlib import Path
from typing import Any

from dicomroute_client.documents.events import EVENT_TYPES, EventDocument, EventType

BEGIN, END = "<!-- made by `make generate`: begin -->", "<!-- made by `make generate`: end -->"
PAGE, SCHEMA = Path("docs/events.md"), Path("docs/reference/events.schema.json")


def generated(root: Path) -> dict[Path, str]:
    """Return the content of every generated file."""
    before, _, rest = (root / PAGE).read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page = f"{before}{BEGIN}\n{types()}{END}{after}"
    return {root / PAGE: page, root / SCHEMA: json.dumps(schema(), indent=1) + "\n"}


def types() -> str:
    """Return the part of the page that lists the types."""
    lines: list[str] = []
    for kind in EVENT_TYPES:
        made = "journal and ledger" if kind.is_of_ledger else "the present state"
        lines += [
            "",
            f"### {kind.name}",
            "",
            f"`{kind.full_name}`. {_sentences(kind.data.__doc__)} Derived from {made}; ",
        ]
        lines[-1] += f"`subject` is {kind.subject}, `id` from {kind.identity}."
        lines += ["", "| data | type | |", "|---|---|---|"]
        lines += [_row(name, field) for name, field in _schema_of(kind)["properties"].items()]
    return "\n".join([*lines[1:], ""])


def schema() -> dict[str, Any]:
    """Return the schema of an event: CloudEvents in JSON, with the data that belong to its type."""
    event = EventDocument.model_json_schema(by_alias=True, mode="serialization")
    event["properties"]["type"] = {"enum": [kind.full_name for kind in EVENT_TYPES]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Events of a dicomroute gateway",
        **{name: value for name, value in event.items() if name not in ("title", "description")},
        "oneOf": [
            {"properties": {"type": {"const": kind.full_name}, "data": {"$ref": f"#/$defs/{kind.full_name}"}}}
            for kind in EVENT_TYPES
        ],
        "$defs": {kind.full_name: _schema_of(kind) for kind in EVENT_TYPES},
    }


def _schema_of(kind: EventType) -> dict[str, Any]:
    return kind.data.model_json_schema(by_alias=True, mode="serialization")


def _row(name: str, field: dict[str, Any]) -> str:
    variants = field.get("anyOf", [field])
    words = [one.get("format") or one["type"] for one in variants]
    words += [f"of {field['items']['type']}"] if "items" in field else []
    known = f" {', '.join(field['enum'])}." if "enum" in field else ""
    said = field.get("description", "") + (known if known and not field.get("description") else "")
    return f"| `{name}` | {' or '.join(words[: len(variants)])}{' ' + words[-1] if 'items' in field else ''} | {said} |"


def _sentences(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    for path, content in generated(Path(sys.argv[1])).items():
        path.write_text(content)
