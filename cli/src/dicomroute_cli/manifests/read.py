"""Reads YAML documents from files and folders."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class ManifestFinding:
    """Something about a manifest that a person should know: where, what, and what to do."""

    file: str
    object: str
    field: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.object, self.field, self.message) if part)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document and the file that it came from."""

    file: str
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        """The kind of the object."""
        return str(self.data.get("kind", ""))

    @property
    def name(self) -> str:
        """KIND/NAME, as far as the document says."""
        metadata = self.data.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return f"{self.kind or '?'}/{name or '?'}"


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files that `paths` mean: themselves, and of folders the manifests directly within."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
        else:
            files.append(path)
    return files


def read(paths: Iterable[Path]) -> tuple[list[Document], list[ManifestFinding]]:
    """Return the documents in files and folders, and what could not be read. A List is taken apart."""
    documents: list[Document] = []
    findings: list[ManifestFinding] = []
    for path in paths:
        files = files_of([path])
        if not files:
            findings.append(
                ManifestFinding(str(path), "", "", f"the folder contains no manifest ({', '.join(SUFFIXES)})")
            )
        for file in files:
            try:
                found = [one for one in yaml.load_all(file.read_text(), _StrictLoader) if one is not None]
                if not found:
                    findings.append(
                        ManifestFinding(str(file), "", "", "the file is empty: write a manifest, or leave the file out")
                    )
                for data in found:
                    documents += _documents(str(file), data, findings)
            except OSError as error:
                findings.append(ManifestFinding(str(file), "", "", f"the file cannot be read: {error.strerror}"))
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                findings.append(
                    ManifestFinding(str(file), "", "", f"the file is not YAML: {' '.join(str(error).split())}")
                )
    return documents, findings


def _documents(file: str, data: Any, findings: list[ManifestFinding]) -> Iterator[Document]:
    if not isinstance(data, dict):
        findings.append(ManifestFinding(file, "", "", "a document is not a mapping of fields to values"))
        return
    items = data.get("items")
    if data.get("kind") == "List" and isinstance(items, list):
        for item in items:
            yield from _documents(file, item, findings)
        return
    document = Document(file, data)
    unusable = list(_not_json(data, ""))
    findings.extend(ManifestFinding(file, document.name, field, message) for field, message in unusable)
    if not unusable:
        yield Document(file, _without_nulls(data))


def _not_json(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield what YAML can say and the API server cannot take."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                yield path, f"the key {key!r} is not text: put it in quotes"
            else:
                yield from _not_json(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_json(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        if not value.isprintable() and any("\ud800" <= one <= "\udfff" for one in value):
            yield path, "contains half a character (a lone surrogate): correct it"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"is {value}: write a number"
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            yield path, "is larger than 64 bits: write a smaller number"
    elif value is not None and not isinstance(value, bool):
        yield path, f"is read as {type(value).__name__} {value}: put it in quotes"


def _without_nulls(value: Any) -> Any:
    """Return a document without empty fields: the API server takes them as absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, as kubectl does; YAML itself would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raises a YAMLError that names the key and its line."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is used twice", key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep)
