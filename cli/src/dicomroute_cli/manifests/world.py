"""All that a set of manifests says, as typed objects, and everything that is wrong with it."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomroute_operator.api.meta import API_VERSION, GROUP, Model, rules
from dicomroute_operator.kinds.crd import open_api_schema
from dicomroute_operator.kinds.listed import KINDS
from dicomroute_operator.kinds.objects import Objects

from .read import Document, ManifestFinding, read
from .schema import schema_errors, with_defaults
from .validations import rule_errors

NAME_RULE = r"self.matches(r'^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')"
LABEL_RULE = r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA_SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "description": "Name of the object.",
            **rules(
                (
                    NAME_RULE,
                    "a name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit",
                )
            ),
        },
        "namespace": {
            "type": "string",
            "minLength": 1,
            "maxLength": 63,
            **rules((LABEL_RULE, "a namespace has lower case letters, digits and '-'")),
        },
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "uid": {"type": "string"},
        "generation": {"type": "integer"},
        # What the API server adds, and `kubectl get -o yaml` shows.
        "creationTimestamp": {"type": "string"},
        "resourceVersion": {"type": "string"},
        "managedFields": {"type": "array"},
        "finalizers": {"type": "array"},
        "ownerReferences": {"type": "array"},
    },
}

Key = tuple[str, str]
"""Namespace and name."""


@dataclass
class ManifestWorld(Objects[Key]):
    """The objects of a set of manifests, by namespace and name."""

    secrets: dict[Key, Mapping[str, bytes]] = field(default_factory=dict)
    config_maps: dict[Key, Mapping[str, bytes]] = field(default_factory=dict)
    invalid: set[tuple[str, str, str]] = field(default_factory=set)
    """Namespace, kind and name of what the API server would refuse: it is in the files all the same."""
    files: dict[str, str] = field(default_factory=dict)
    """Where each object, NAMESPACE/KIND/NAME, was read from."""
    findings: list[ManifestFinding] = field(default_factory=list)

    def file_of(self, namespace: str, kind: str, name: str) -> str:
        """Return the file that an object was read from."""
        return self.files.get(f"{namespace}/{kind}/{name}", "")


def load_world(paths: Iterable[Path]) -> ManifestWorld:
    """Read manifests and check each as the API server would. Never raises for what a file holds."""
    documents, findings = read(paths)
    world = ManifestWorld(findings=findings)
    for document in documents:
        if document.data.get("apiVersion") == "v1" and document.kind == "Secret":
            _take_values(world, document, world.secrets, encoded="data", plain="stringData")
        elif document.data.get("apiVersion") == "v1" and document.kind == "ConfigMap":
            _take_values(world, document, world.config_maps, encoded="binaryData", plain="data")
        elif document.kind in KINDS or str(document.data.get("apiVersion", "")).startswith(GROUP):
            _take_resource(world, document)
        elif "apiVersion" not in document.data or not document.kind:
            world.findings.append(
                ManifestFinding(document.file, document.name, "", "apiVersion and kind are missing: add them")
            )
    return world


def _take_resource(world: ManifestWorld, document: Document) -> None:
    kind = KINDS.get(document.kind)
    version = document.data.get("apiVersion", "(no apiVersion)")
    if version != API_VERSION or kind is None:
        what = f"{version} {document.kind}"
        *kinds, last = KINDS
        message = f"there is no {what}: use {API_VERSION} with the kind {', '.join(kinds)} or {last}"
        world.findings.append(ManifestFinding(document.file, document.name, "kind", message))
        return
    data, errors = checked(kind.model, document.data)
    if errors:
        world.findings += [ManifestFinding(document.file, document.name, where, what) for where, what in errors]
        metadata = document.data.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
            world.invalid.add((str(metadata.get("namespace", "default")), document.kind, metadata["name"]))
        return
    resource = kind.model.model_validate(data)
    key = (resource.metadata.namespace, resource.metadata.name)
    if _is_first(world, document, key):
        world.objects[kind.name][key] = resource


def checked(model: type[Model], data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return an object with the defaults of its schema, and the field and sentence of everything that is wrong."""
    schema = open_api_schema(model)
    schema["properties"]["metadata"] = _METADATA_SCHEMA
    schema["required"] = ["metadata", "spec"]
    errors = list(schema_errors(data, schema))
    if errors:
        return data, errors
    full = with_defaults(data, schema)
    return full, list(rule_errors(full, schema))


def _take_values(
    world: ManifestWorld, document: Document, store: dict[Key, Mapping[str, bytes]], *, encoded: str, plain: str
) -> None:
    """Take over a Secret or a ConfigMap: one of its fields is encoded, the other is not."""
    schema = {"properties": {"metadata": _METADATA_SCHEMA, encoded: _TEXTS, plain: _TEXTS}}
    content = {field: document.data.get(field, {}) for field in schema["properties"]}
    errors = list(schema_errors(content, schema)) or list(rule_errors(content, schema))
    if errors:
        world.findings += [ManifestFinding(document.file, document.name, where, what) for where, what in errors]
        return
    metadata = document.data["metadata"]
    values: dict[str, bytes] = {}
    for key, value in content[encoded].items():
        try:
            values[key] = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            message = f"is not base64: encode the value, or write it in {plain}"
            world.findings.append(ManifestFinding(document.file, document.name, f"{encoded}.{key}", message))
    for key, value in content[plain].items():
        values[key] = value.encode()
    where = (metadata.get("namespace", "default"), metadata["name"])
    if _is_first(world, document, where):
        store[where] = values


def _is_first(world: ManifestWorld, document: Document, key: Key) -> bool:
    identity = f"{key[0]}/{document.kind}/{key[1]}"
    if identity in world.files:
        message = f"is also in {world.files[identity]}: remove or rename one of them"
        world.findings.append(ManifestFinding(document.file, document.name, "metadata.name", message))
        return False
    world.files[identity] = document.file
    return True
