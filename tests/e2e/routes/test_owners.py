"""What belongs to a route comes back to it, however it was parted from it; and what happens often is said once."""

import json
from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import send

from cluster import Namespace

CLAIM = "spool-ct-to-cloud-gw-0"
STATEFUL_SET = "ct-to-cloud-gw"


def test_a_route_that_was_deleted_alone_takes_its_gateway_back(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    namespace.apply(ct, archive_target, small_route(mode="HoldDeliveries"))
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 1, ("CT_small.dcm",))
    assert [one["status"] for one in send(namespace.endpoint(), files)] == [0]
    namespace.wait_instances(owed=1)
    namespace.kubectl("annotate", "dicomroute", "ct-to-cloud", "dicomroute.dev/abandon-spool=true")
    namespace.kubectl("delete", "dicomroute", "ct-to-cloud", "--cascade=orphan")
    namespace.wait(lambda: not _owners(namespace), "the StatefulSet is still owned")
    pod = namespace.pod()["metadata"]["uid"]

    namespace.apply(small_route())
    namespace.wait_condition("Accepted", "False", "SpoolOfAnotherRoute")
    assert namespace.pod()["metadata"]["uid"] == pod, "it goes on meanwhile"
    namespace.apply(changed(small_route(), "spec.gateway.spool.adopt", True))
    namespace.wait_ready()
    namespace.wait_instances(owed=0, deliveredTotal=1)
    assert _owners(namespace) == [namespace.route()["metadata"]["uid"]]


def test_a_mistyped_storage_class_does_not_block_the_name(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    mistyped = changed(small_route(), "spec.gateway.spool.storageClassName", "locale")
    namespace.apply(ct, archive_target, mistyped)
    message = namespace.wait_condition("Ready", "False", "VolumePending")["message"]
    assert '"locale"' in message
    namespace.wait(lambda: _states(namespace) == ["Pending"], "the claim is not in the status")
    namespace.apply(small_route())  # corrected by leaving the class to the cluster
    message = namespace.wait_condition("Programmed", "False", "SpoolClassChanged")["message"]
    command = message.partition("`kubectl ")[2].partition("`")[0].split()
    assert command[3:] == ["--wait=false", f"statefulset/{STATEFUL_SET}", f"pvc/{CLAIM}"]
    namespace.cluster.kubectl(*command)
    namespace.wait_ready()
    assert namespace.route()["status"]["claims"][0]["storageClassName"] == "local"


def test_a_reference_that_comes_and_goes_is_one_event_that_counts(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    for _ in range(3):
        namespace.kubectl("delete", "dicomnode", "ct-1")
        namespace.wait_condition("ResolvedRefs", "False", "NodeNotFound")
        namespace.apply(ct)
        namespace.wait_condition("ResolvedRefs", "True")
    namespace.wait(lambda: [one["count"] for one in _events(namespace, "NodeNotFound")] == [3], "not one that counts")


def _events(namespace: Namespace, reason: str) -> list[Json]:
    words = ["get", "events", "--field-selector", f"reason={reason},involvedObject.kind=DicomRoute", "-o", "json"]
    return list(json.loads(namespace.kubectl(*words))["items"])


def _owners(namespace: Namespace) -> list[str]:
    found = namespace.get("statefulset", STATEFUL_SET) or {}
    return [one["uid"] for one in found["metadata"].get("ownerReferences", [])]


def _states(namespace: Namespace) -> list[str]:
    return [one["state"] for one in namespace.route().get("status", {}).get("claims", [])]
