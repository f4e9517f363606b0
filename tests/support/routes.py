"""Manifests of routes on this machine, as the integration tests run them."""

from typing import Any

from manifests import Json, changed, node, route, target
from orthanc import USER

PACS = {"kind": "DicomNode", "name": "pacs"}


def local_node() -> Json:
    """Return the node that the tests send as."""
    return node(aeTitle="CT1", allowedSources=["127.0.0.0/8"])


def to(url: str, **spec: Any) -> Json:
    """Return a target at a URL."""
    return target(url=url, **spec)


def pacs(port: int, **spec: Any) -> Json:
    """Return a node on this machine that is called; for deliveries alone, where nothing is said of tests."""
    settings = {"connectionTestSeconds": 0, **spec}
    return changed(node(aeTitle="PACS", host="127.0.0.1", port=port, **settings), "metadata", {"name": "pacs"})


def targets(**urls: str) -> list[Json]:
    """Return targets by their names."""
    return [changed(to(url), "metadata.name", name) for name, url in urls.items()]


def references(*names: str) -> list[Json]:
    """Return CloudTargets as rules and other fields of a route refer to them."""
    return [{"kind": "CloudTarget", "name": name} for name in names]


def all_to(*names: str) -> list[Json]:
    """Return the rules by which every instance goes to these CloudTargets."""
    return [{"name": "everything", "destinations": references(*names)}]


def with_password(document: Json, secret: str = "archive") -> Json:
    """Return a target that authenticates with a password from a Secret."""
    basic = {"username": USER, "passwordSecretRef": {"name": secret, "key": "password"}}
    return changed(document, "spec.auth", {"type": "Basic", "basic": basic})


def secret(password: str, name: str = "archive") -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": password}}


def to_pacs(*more: Json, **spec: Any) -> Json:
    """Return a route to that node and to `more` destinations."""
    rules = [{"name": "everything", "destinations": [PACS, *more]}]
    return local_route(rules=rules, **spec)


def local_route(**spec: Any) -> Json:
    """Return a route with short waits between attempts, and a spool that this machine has the room for.

    What others use of the room of a larger one would count as used.
    """
    retry = {"initialBackoffSeconds": 1, "maxBackoffSeconds": 1, "contentAttempts": 2}
    return route(**{"retry": retry, "gateway": {"spool": {"size": "8Gi"}}, **spec})
