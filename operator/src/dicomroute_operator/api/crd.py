"""Makes the CustomResourceDefinitions from the models: structural schemas, as the API server wants them."""

from dataclasses import dataclass
from typing import Any, Final

from .meta import CATEGORY, GROUP, VERSION, Model
from .node import DicomNode
from .profile import DeidentificationProfile
from .route import DicomRoute
from .target import CloudTarget

Json = dict[str, Any]


Kind = type[DicomRoute] | type[DicomNode] | type[CloudTarget] | type[DeidentificationProfile]


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0


@dataclass(frozen=True)
class Resource:
    """A kind, and how kubectl names and shows it."""

    model: Kind
    plural: str
    short_name: str
    columns: tuple[Column, ...]


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


_READY: Final = Column("Ready", "string", _condition("Ready", "status"), "Whether the object works.")
_REASON: Final = Column("Reason", "string", _condition("Ready", "reason"), "Why, in one word.")
_AGE: Final = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")

RESOURCES: Final = (
    Resource(
        DicomRoute,
        "dicomroutes",
        "droute",
        (
            _READY,
            _REASON,
            Column("Endpoint", "string", ".status.endpoints[0].address", "Address for modalities."),
            Column("Received", "integer", ".status.instances.receivedTotal", "Instances received so far."),
            Column("Owed", "integer", ".status.instances.owed", "Instances not yet delivered to every destination."),
            Column(
                "DeadLettered", "integer", ".status.deliveries.deadLettered", "Deliveries that a destination refused."
            ),
            Column("Mode", "string", ".spec.mode", "What the route does as a whole.", 1),
            _AGE,
        ),
    ),
    Resource(
        DicomNode,
        "dicomnodes",
        "dnode",
        (
            Column("AETitle", "string", ".spec.aeTitle", "AE title of the node."),
            Column(
                "Reachable", "string", _condition("Reachable", "status"), "Whether the node answers when it is called."
            ),
            Column("Reason", "string", _condition("Reachable", "reason"), "Why, in one word."),
            Column("Host", "string", ".spec.host", "Host that the node is called at.", 1),
            Column(
                "WithinMs",
                "integer",
                ".status.connectionTests[0].withinMilliseconds",
                "The node's answer to a C-ECHO.",
                1,
            ),
            Column("Sources", "string", ".spec.allowedSources", "Networks that the node may call from.", 1),
            _AGE,
        ),
    ),
    Resource(
        CloudTarget,
        "cloudtargets",
        "ctarget",
        (
            _READY,
            _REASON,
            Column("URL", "string", ".spec.url", "Base URL of the DICOMweb service."),
            Column("Auth", "string", ".spec.auth.type", "How requests are authenticated.", 1),
            _AGE,
        ),
    ),
    Resource(
        DeidentificationProfile,
        "deidentificationprofiles",
        "dprofile",
        (
            Column("Edition", "string", ".spec.edition", "Edition of PS3.15."),
            Column("Options", "string", ".spec.options", "Options in addition to the Basic Profile."),
            Column("Hold", "boolean", ".spec.hold", "Whether the profile withholds everything."),
            _AGE,
        ),
    ),
)


def crds() -> list[Json]:
    """Return all CustomResourceDefinitions."""
    return [crd(resource) for resource in RESOURCES]


def crd(resource: Resource) -> Json:
    """Return the CustomResourceDefinition of one kind."""
    kind = resource.model.kind
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": resource.plural,
                "singular": kind.lower(),
                "shortNames": [resource.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "schema": {"openAPIV3Schema": open_api_schema(resource.model)},
                }
            ],
        },
    }


def open_api_schema(model: Kind) -> Json:
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


def model_of(kind: str) -> type[Model] | None:
    """Return the model of a kind, or None when it is not ours."""
    return next((resource.model for resource in RESOURCES if resource.model.kind == kind), None)
