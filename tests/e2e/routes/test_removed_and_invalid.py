"""Removed takes effect at once, whatever else is wrong; invalid keeps the last good of its section."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import send
from orthanc import Orthanc

from cluster import Namespace


def test_removed_sources_and_targets_and_invalid_changes(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    mr = changed(changed(ct, "metadata.name", "mr-1"), "spec.aeTitle", "MR1")
    listener = {
        "name": "dicom",
        "port": 11112,
        "aeTitles": ["CTGATE"],
        "sources": {"nodes": [{"name": "ct-1"}, {"name": "mr-1"}]},
    }
    route = small_route(listeners=[listener])
    namespace.apply(ct, mr, archive_target, route)
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 60, ("CT_small.dcm",))
    endpoint = namespace.endpoint()

    # A rule that does not compile: the gateway says so and goes on with the last ones.
    broken = changed(route, "spec.rules.0.when", "instance.Modality ==")
    namespace.apply(broken)
    assert "everything" in namespace.wait_condition("Programmed", "False", "RuleInvalid")["message"]
    namespace.wait_condition("Ready", "True")
    assert [one["status"] for one in send(endpoint, files[:1])] == [0]
    namespace.wait_instances(owed=0, deliveredTotal=1)

    # A change that is not accepted: the last configuration goes on ...
    unreachable = changed(route, "spec.ruleMatching", "First")
    unreachable["spec"]["rules"] = [route["spec"]["rules"][0], {**route["spec"]["rules"][0], "name": "never"}]
    namespace.apply(unreachable)
    namespace.wait_condition("Accepted", "False", "RuleUnreachable")
    namespace.wait_condition("Programmed", "False", "NotAccepted")
    assert [one["status"] for one in send(endpoint, files[1:2])] == [0]
    # ... and what is removed meanwhile is removed.
    namespace.kubectl("delete", "dicomnode", "mr-1")
    let_in = 0  # MR1 may be, until the gateway has read what changed

    def is_rejected() -> bool:
        nonlocal let_in
        (answer,) = send(endpoint, [files[3 + let_in]], calling="MR1")
        let_in += answer.get("status") == 0
        return answer.get("refused") == "rejected"

    namespace.wait(is_rejected, "MR1 is let in")
    assert [one["status"] for one in send(endpoint, files[2:3])] == [0]
    namespace.wait_instances(owed=0, deliveredTotal=3 + let_in)
    assert _texts(namespace, "ct-to-cloud-gw-v1") == {"v1.json"}, "one configuration has the room of its ConfigMap"
    assert _texts(namespace, "ct-to-cloud-gw-accepted") == {"accepted.json"}
    namespace.kubectl("delete", "cloudtarget", "archive")

    def is_held() -> bool:
        assert send(endpoint, [files.pop()])[0]["status"] == 0
        return namespace.route()["status"]["deliveries"]["held"] > 0

    namespace.wait(is_held, "what is for a deleted target is not held", 60)
    namespace.apply(archive_target, changed(route, "spec.listeners.0.sources.nodes", [{"name": "ct-1"}]))
    namespace.wait_condition("Accepted", "True")
    namespace.wait(lambda: _texts(namespace, "ct-to-cloud-gw-accepted") == set(), "what was put aside stays")
    namespace.wait_instances(owed=0)
    assert namespace.instances()["deliveredTotal"] == namespace.instances()["receivedTotal"]


def _texts(namespace: Namespace, config_map: str) -> set[str]:
    """Return the keys of a ConfigMap but for MACs; none without it."""
    found = namespace.get("configmap", config_map) or {"data": {}}
    return {key for key in found["data"] if not key.endswith(".mac")}
