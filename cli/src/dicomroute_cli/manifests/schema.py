"""Checks a document against the schema of its CRD, and says what is wrong in a sentence."""

import difflib
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

Json = dict[str, Any]


def schema_errors(document: Json, schema: Json) -> Iterator[tuple[str, str]]:
    """Yield the field and the sentence of everything in `document` that `schema` does not allow."""
    errors = Draft202012Validator(_strict(schema)).iter_errors(document)
    for error in sorted(errors, key=lambda one: [str(step) for step in one.absolute_path]):
        yield from _sentences(error, document)
    yield from _duplicates(document, schema, "")


def with_defaults(value: Any, schema: Json) -> Any:
    """Return `value` with the defaults of `schema`, as the API server fills them in."""
    if isinstance(value, dict) and "properties" in schema:
        result = dict(value)
        for name, inner in schema["properties"].items():
            if result.get(name) is None and "default" in inner:
                result[name] = inner["default"]
            if name in result:
                result[name] = with_defaults(result[name], inner)
        return result
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(item, schema["items"]) for item in value]
    return value


def path_of(document: Any, steps: list[Any]) -> str:
    """Return a field as people write it; items of a list are named where they have a name."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            item = document[step] if isinstance(document, list) and step < len(document) else None
            name = item.get("name") or item.get("listener") if isinstance(item, dict) else None
            path += f"[{name if isinstance(name, str) else step}]"
            document = item
        else:
            path += f".{step}" if path else str(step)
            document = document.get(step) if isinstance(document, dict) else None
    return path


def _strict(schema: Json) -> Json:
    """Return the schema with unknown fields refused, as `kubectl apply` does."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"], "maxLength": schema.get("maxLength", 64)}
    result = {
        key: value for key, value in schema.items() if not key.startswith("x-") and key not in ("default", "format")
    }
    if "properties" in schema:
        result["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        result["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    return result


def _sentences(error: ValidationError, document: Json) -> Iterator[tuple[str, str]]:
    steps = list(error.absolute_path)
    field = path_of(document, steps)
    limit: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
            for name in sorted(map(str, set(value) - set(known))):
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                yield path_of(document, [*steps, name]), f"unknown field {name}: {hint}"
        case "required":
            for name in sorted(set(limit) - set(value)):
                inner = error.schema["properties"].get(name, {}) if isinstance(error.schema, dict) else {}
                yield (
                    path_of(document, [*steps, name]),
                    f"the field is missing: add it. {inner.get('description', '')}".strip(),
                )
        case "type":
            yield field, f"must be of type {_types(limit)}, not {_shown(value)}"
        case "enum":
            yield field, f"is {_shown(value)}: use one of {', '.join(str(one) for one in limit if one != '')}"
        case "maxLength":
            yield field, f"is {len(value)} characters long: shorten it to {limit}"
        case "minLength":
            yield field, "is empty: it must have at least 1 character"
        case "maxItems" | "maxProperties":
            yield field, f"has {len(value)} items, but at most {limit} are allowed"
        case "minItems" | "minProperties":
            yield field, f"has {len(value)} items, but at least {limit} are required"
        case "minimum":
            yield field, f"is {value}, but the minimum is {limit}"
        case "maximum":
            yield field, f"is {value}, but the maximum is {limit}"
        case _:
            yield field, error.message


def _duplicates(value: Any, schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield the items of lists that stand there twice (x-kubernetes-list-type map and set)."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from _duplicates(value[name], inner, f"{path}.{name}" if path else name)
    if not isinstance(value, list):
        return
    keys = schema.get("x-kubernetes-list-map-keys")
    seen: set[str] = set()
    for item in value:
        if keys and isinstance(item, dict):
            identity = ", ".join(f"{key} {item.get(key)}" for key in keys)
        elif schema.get("x-kubernetes-list-type") == "set":
            identity = str(item)
        else:
            continue
        if identity in seen:
            yield (
                path,
                f"two items have {identity}: remove or rename one of them" if keys else f"{identity} is used twice",
            )
        seen.add(identity)
    for index, item in enumerate(value):
        yield from _duplicates(item, schema.get("items", {}), path + path_of(value, [index]))


def _types(limit: Any) -> str:
    return " or ".join(limit) if isinstance(limit, list) else str(limit)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
