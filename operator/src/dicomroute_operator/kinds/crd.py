"""Makes the CustomResourceDefinitions from the models: structural schemas, as the API server wants them."""

from typing import Any, Final

from dicomroute_operator.api.meta import CATEGORY, GROUP, VERSION, Model

from .kind import Column, Kind
from .listed import KINDS

Json = dict[str, Any]


def crds() -> list[Json]:
    """Return all CustomResourceDefinitions."""
    return [crd(kind) for kind in KINDS.values()]


def crd(kind: Kind) -> Json:
    """Return the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": open_api_schema(kind.model)},
                }
            ],
        },
    }


def open_api_schema(model: type[Model]) -> Json:
    """Return the structural schema of a kind, with spec required and its top-level rules."""
    document = model.model_json_schema(by_alias=True)
    schema: Json = _structural(document, document.get("$defs", {}))
    properties = schema["properties"]
    return {
        "type": "object",
        "description": " ".join((model.__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": properties["spec"],
            "status": properties["status"],
        },
        **getattr(model, "rules", {}),
    }


def _column(column: Column) -> Json:
    result: Json = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    if column.priority:
        result["priority"] = column.priority
    return result


_DROPPED: Final = ("title", "$defs", "additionalProperties", "discriminator")


def _structural(schema: Json, definitions: Json) -> Json:
    """Return a schema without references, titles and nulls, which structural schemas do not know."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _structural({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    if "anyOf" in schema:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        if schema.get("x-kubernetes-int-or-string"):
            return {key: value for key, value in rest.items() if key not in _DROPPED}
        (only,) = [one for one in schema["anyOf"] if one != {"type": "null"}]
        return _structural({**only, **rest}, definitions)
    result = {key: value for key, value in schema.items() if key not in _DROPPED}
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    if "properties" in schema:
        result["properties"] = {name: _structural(value, definitions) for name, value in schema["properties"].items()}
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    if result.get("type") == "integer":
        result.setdefault("format", "int32" if result.get("maximum", 0) else "int64")
    if isinstance(result.get("description"), str):
        result["description"] = " ".join(result["description"].split())
    if isinstance(result.get("default"), dict):
        result["default"] = {}  # the API server fills in the defaults of what is within
    return result
