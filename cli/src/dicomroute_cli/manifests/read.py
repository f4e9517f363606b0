"""Reads YAML documents from files and folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Finding:
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


def read(paths: Iterable[Path]) -> tuple[list[Document], list[Finding]]:
    """Return the documents in files and folders, and what could not be read."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for path in paths:
        files = files_of([path])
        if not files:
            findings.append(Finding(str(path), "", "", f"the folder has no manifest ({', '.join(SUFFIXES)})"))
        for file in files:
            try:
                text = file.read_text()
                for data in yaml.safe_load_all(text):
                    if data is None:
                        continue
                    if not isinstance(data, dict):
                        findings.append(Finding(str(file), "", "", "a document is not a mapping of fields to values"))
                        continue
                    documents.append(Document(str(file), data))
            except OSError as error:
                findings.append(Finding(str(file), "", "", f"the file cannot be read: {error.strerror}"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                findings.append(Finding(str(file), "", "", f"the file is not YAML: {' '.join(str(error).split())}"))
    return documents, findings
