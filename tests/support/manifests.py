"""Manifests to start from, and a way to change one field of them."""

import copy
from pathlib import Path
from typing import Any

from dicomroute_operator.kinds.listed import KINDS

Json = dict[str, Any]

API_VERSION = "dicomroute.dev/v1alpha1"
PLURALS = {name: kind.plural for name, kind in KINDS.items()}


def route(**spec: Any) -> Json:
    """Return a small DicomRoute; `spec` replaces fields of its spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DicomRoute",
        "metadata": {"name": "ct-to-cloud"},
        "spec": {
            "listeners": [
                {"name": "dicom", "port": 11112, "aeTitles": ["CTGATE"], "sources": {"nodes": [{"name": "ct-1"}]}}
            ],
            "rules": [{"name": "everything", "destinations": [{"kind": "CloudTarget", "name": "archive"}]}],
            **spec,
        },
    }


def node(**spec: Any) -> Json:
    """Return a small DicomNode; `spec` replaces its spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DicomNode",
        "metadata": {"name": "ct-1", "labels": {"site": "north"}},
        "spec": spec or {"aeTitle": "CT1", "allowedSources": ["192.0.2.0/24"]},
    }


def target(**spec: Any) -> Json:
    """Return a small CloudTarget; `spec` replaces fields of its spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "CloudTarget",
        "metadata": {"name": "archive"},
        "spec": {"url": "https://archive.example/dicom-web", "auth": {"type": "None"}, **spec},
    }


def profile(**spec: Any) -> Json:
    """Return a small DeidentificationProfile; `spec` replaces fields of its spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DeidentificationProfile",
        "metadata": {"name": "research"},
        "spec": {"edition": "2026c", "keySecretRef": {"name": "research", "key": "key"}, **spec},
    }


def tls_secret(name: str, certificate: Path, key: Path) -> Json:
    """Return a Secret with a certificate and its key, as cert-manager writes it."""
    data = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "stringData": data}


def ca_bundle(name: str, pem: str) -> tuple[Json, Json]:
    """Return a ConfigMap with certificates of authorities, and the reference to them."""
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem}}
    return document, {"kind": "ConfigMap", "name": name, "key": "ca.crt"}


BASES = {"DicomRoute": route, "DicomNode": node, "CloudTarget": target, "DeidentificationProfile": profile}


class _Removed:
    def __repr__(self) -> str:
        return "absent"


REMOVED = _Removed()


def changed(document: Json, path: str, value: Any) -> Json:
    """Return a copy of a document with another value at a path such as spec.listeners.0.port."""
    result = copy.deepcopy(document)
    here: Any = result
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
    if value is REMOVED:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return result
