"""Whose the fields of a resource are, by its managedFields, and what one manager has applied. Pure.

The form is FieldsV1 of the API server: `f:NAME` is a field, `k:{...}` an item of a list by its keys, `v:...` a value of
a set, `.` the thing itself.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

Json = Mapping[str, Any]
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_USER_INFORMATION: Final = re.compile(r"//[^/@\s]+@")


class NotYaml(Exception):
    """A text is no YAML of one object; the sentence says where."""


def owners(resource: Json) -> list[tuple[str, list[str]]]:
    """Return each manager and the fields of the spec that it sets, such as `spec.rules[name=ct].when`."""
    found: dict[str, set[str]] = {}
    for entry in _entries(resource):
        if paths := set(_leaves(entry["fieldsV1"].get("f:spec") or {}, "spec")):
            found.setdefault(entry["manager"], set()).update(paths)
    return [(manager, sorted(paths)) for manager, paths in sorted(found.items())]


def applied(resource: Json, manager: str) -> dict[str, Any]:
    """Return the spec that a manager applied last, with the values of today: what it goes on setting."""
    for entry in _entries(resource):
        if entry["manager"] == manager and entry.get("operation") == "Apply":
            fields = entry["fieldsV1"].get("f:spec")
            return dict(_picked(resource.get("spec") or {}, fields)) if fields else {}
    return {}


def document(resource: Json, spec: Any) -> dict[str, Any]:
    """Return what is applied: the resource by its name, with this spec."""
    metadata = {name: resource["metadata"][name] for name in ("namespace", "name")}
    return {"apiVersion": "dicomroute.dev/v1alpha1", "kind": resource["kind"], "metadata": metadata, "spec": spec}


def shown(resource: Json) -> str:
    """Return a resource in YAML, to be read and copied: without what the API server adds, and no password in a URL."""
    metadata = resource["metadata"]
    kept: dict[str, Any] = {name: metadata[name] for name in ("namespace", "name", "labels") if metadata.get(name)}
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != _LAST_APPLIED}
    if notes:
        kept["annotations"] = notes
    return text_of({**document(resource, resource.get("spec") or {}), "metadata": kept})


def text_of(value: Any) -> str:
    """Return YAML, in the order that the fields have."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return _USER_INFORMATION.sub("//…@", text)


def parsed(text: str) -> dict[str, Any]:
    """Return the object that a text in YAML is. Raises NotYaml."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotYaml(f"the text is not valid YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise NotYaml("the text is not a YAML object: write fields of spec, such as `mode: HoldDeliveries`")
    return found


def _entries(resource: Json) -> list[Any]:
    entries = resource["metadata"].get("managedFields") or []
    return [one for one in entries if one.get("fieldsV1") and one.get("subresource", "") == ""]


def _leaves(fields: Json, path: str) -> Iterator[str]:
    inner = {key: value for key, value in fields.items() if key != "."}
    if not inner:
        yield path
    for key, value in inner.items():
        yield from _leaves(value, path + _step(key))


def _step(key: str) -> str:
    kind, _, rest = key.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return f"[{','.join(f'{name}={value}' for name, value in json.loads(rest).items())}]"
    return f"[{rest}]"


def _picked(value: Any, fields: Json) -> Any:
    inner = {key: one for key, one in fields.items() if key != "."}
    if not inner:
        return value
    if isinstance(value, dict):
        names = {key[2:]: one for key, one in inner.items() if key.startswith("f:")}
        return {name: _picked(value[name], one) for name, one in names.items() if name in value}
    if isinstance(value, list):
        found = []
        for key, one in inner.items():
            kind, _, rest = key.partition(":")
            wanted: Any = json.loads(rest) if kind in ("k", "v") else None
            for item in value:
                if kind == "v" and item == wanted:
                    found.append(item)
                elif kind == "k" and isinstance(item, dict) and wanted.items() <= item.items():
                    found.append({**wanted, **_picked(item, one)})
        return found
    return value
