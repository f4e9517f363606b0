"""What somebody deletes or changes of a route's objects is back within a minute; what others have added stays."""

import time
from collections.abc import Callable

from manifests import Json

from cluster import Namespace

CHILDREN = (
    ("statefulset", "ct-to-cloud-gw"),
    ("service", "ct-to-cloud-dicom"),
    ("service", "ct-to-cloud-gw-pods"),
    ("configmap", "ct-to-cloud-gw-v1"),
    ("serviceaccount", "ct-to-cloud-gw"),
    ("poddisruptionbudget", "ct-to-cloud-gw"),
    ("networkpolicy", "ct-to-cloud-gw"),
)


def test_deleted_and_changed_children_come_back(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    claim = namespace.get("pvc", "spool-ct-to-cloud-gw-0")
    before = {child: _uid(namespace, *child) for child in CHILDREN}
    for kind, name in CHILDREN:
        namespace.kubectl("delete", kind, name, "--wait=false")
    deleted = time.monotonic()
    for child in CHILDREN:
        namespace.wait(lambda: _uid(namespace, *child) not in ("", before[child]), f"{child} is not back", 60)  # noqa: B023
    assert time.monotonic() - deleted < 60
    namespace.wait_ready()
    after = namespace.get("pvc", "spool-ct-to-cloud-gw-0")
    assert claim is not None
    assert after is not None
    assert after["metadata"]["uid"] == claim["metadata"]["uid"]

    namespace.kubectl("annotate", "service", "ct-to-cloud-dicom", "example.com/theirs=stays")
    namespace.kubectl("patch", "service", "ct-to-cloud-dicom", "--type=json", "-p", _PORT)
    namespace.kubectl("patch", "configmap", "ct-to-cloud-gw-v1", "--type=merge", "-p", '{"data": {"v1.json": "{}"}}')
    namespace.wait(lambda: _port(namespace) == 104, "the port is not back", 60)
    namespace.wait(lambda: _configuration(namespace) != "{}", "the configuration is not back", 60)
    service = namespace.get("service", "ct-to-cloud-dicom")
    assert service is not None
    assert service["metadata"]["annotations"]["example.com/theirs"] == "stays"
    namespace.wait_ready()

    # The operator may not read Secrets: a deleted one is made again when a pod needs it.
    namespace.kubectl("delete", "secret", "ct-to-cloud-gw-admin")
    namespace.kubectl("delete", "pod", "ct-to-cloud-gw-0")
    namespace.wait(lambda: namespace.get("secret", "ct-to-cloud-gw-admin") is not None, "no admin Secret", 60)
    namespace.wait_ready()


_PORT = '[{"op": "replace", "path": "/spec/ports/0/port", "value": 105}]'


def _uid(namespace: Namespace, kind: str, name: str) -> str:
    found = namespace.get(kind, name)
    return found["metadata"]["uid"] if found and not found["metadata"].get("deletionTimestamp") else ""


def _port(namespace: Namespace) -> int:
    return int((namespace.get("service", "ct-to-cloud-dicom") or {})["spec"]["ports"][0]["port"])


def _configuration(namespace: Namespace) -> str:
    return str((namespace.get("configmap", "ct-to-cloud-gw-v1") or {})["data"]["v1.json"])
