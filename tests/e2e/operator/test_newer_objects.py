"""An object that is newer than the operator freezes those that name it, and nothing else, with a condition."""

import json
from collections.abc import Callable, Iterator

import pytest
from manifests import Json, changed, target

from cluster import Cluster, Namespace

PROVIDERS = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/provider/enum"


@pytest.fixture
def newer_kind(cluster: Cluster) -> Iterator[str]:
    """The CRD of a release to come: its targets may have a provider that this operator does not know."""
    name = "cloudtargets.dicomroute.dev"
    crd = json.loads(cluster.kubectl("get", "crd", name, "-o", "json", "--show-managed-fields"))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    last = len(spec["properties"]["provider"]["enum"])

    def patch(*operations: Json) -> None:
        cluster.kubectl("patch", "crd", name, "--type=json", "-p", json.dumps(operations))

    patch({"op": "add", "path": f"{PROVIDERS}/-", "value": "Quantum"})
    yield "Quantum"
    patch({"op": "remove", "path": f"{PROVIDERS}/{last}"})
    # Helm owns it again: an upgrade that changes the CRD would conflict with us.
    patch({"op": "replace", "path": "/metadata/managedFields", "value": crd["metadata"]["managedFields"]})


def test_a_target_of_a_release_to_come_freezes_its_routes_alone(
    namespace: Namespace, newer_kind: str, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    plain = changed(target(url="https://quantum.example/", provider="Generic"), "metadata.name", "quantum")
    its = changed(changed(small_route(), "metadata.name", "its"), "spec.rules.0.destinations.0.name", "quantum")
    namespace.apply(ct, archive_target, plain, small_route(), its)
    for name in ("its", "ct-to-cloud"):
        namespace.wait_ready(name)
    # The CRD is served a moment after it was changed.
    namespace.wait(lambda: "patched" in _patch(namespace, newer_kind), "the provider is not served")
    its_route = namespace.wait_condition("Stalled", "True", "NewerThanOperator", name="its")
    assert "CloudTarget quantum, which the object references," in its_route["message"]
    assert namespace.condition("Stalled", "quantum", "cloudtarget")["reason"] == "NewerThanOperator"
    assert namespace.condition("Ready", "its")["status"] == "True"
    assert namespace.route("its")["status"]["observedGeneration"] == namespace.route("its")["metadata"]["generation"]

    namespace.apply(changed(small_route(), "spec.gateway.resources", {"requests": {"cpu": "51m"}}))
    namespace.wait_ready()
    assert namespace.condition("Stalled") == {}, "the other one goes on"
    namespace.apply(plain)
    namespace.wait(lambda: namespace.condition("Stalled", "its") == {}, "the route stays frozen")
    namespace.wait(lambda: namespace.condition("Stalled", "quantum", "cloudtarget") == {}, "the target stays frozen")


def _patch(namespace: Namespace, provider: str) -> str:
    patch = json.dumps({"spec": {"provider": provider}})
    return namespace.kubectl("patch", "cloudtarget", "quantum", "--type=merge", "-p", patch, check=False)
