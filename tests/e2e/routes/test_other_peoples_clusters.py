"""Whatever a cluster refuses or does to a route's objects is said in its words, and stops nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from corpus import make_corpus
from manifests import Json, changed
from modality import send

from cluster import Cluster, Namespace

PROVISIONER = "loop.dicomroute.dev"
FIXED = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fixed"},
    "provisioner": PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
}
CLAIM = "spool-ct-to-cloud-gw-0"


@pytest.fixture
def fixed_class(cluster: Cluster) -> Iterator[str]:
    """A storage class whose volumes cannot grow."""
    cluster.kubectl("apply", "-f", "-", stdin=_yaml(FIXED))
    yield "fixed"
    cluster.kubectl("delete", "storageclass", "fixed")


@pytest.fixture
def broken_volume(cluster: Cluster, namespace: Namespace) -> Iterator[str]:
    """A volume that a claim finds and no node can mount."""
    name = f"broken-{namespace.name}"[:60].strip("-")
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "broken",
            "local": {"path": "/does/not/exist"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=_yaml(volume))
    yield "broken"
    cluster.kubectl("delete", "pv", name, "--wait=false")


def test_a_node_port_of_a_stranger_stops_the_service_alone(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    route = changed(small_route(), "spec.gateway.service", {"type": "NodePort"})
    namespace.apply(ct, archive_target, route, _stranger(type="NodePort", nodePort=30117))
    namespace.wait_ready()
    there = namespace.endpoint()
    wanted = changed(route, "spec.gateway.service.ports", [{"listener": "dicom", "port": 104, "nodePort": 30117}])
    namespace.apply(changed(wanted, "spec.gateway.resources", {"requests": {"cpu": "51m"}}))
    refused = namespace.wait_condition("Programmed", "False", "ApplyFailed")["message"]
    assert "Service ct-to-cloud-dicom (from spec.gateway.service)" in refused
    assert "30117" in refused
    namespace.wait(lambda: _cpu(namespace) == "51m", "what is changed beside it does not arrive")
    assert namespace.condition("Stalled")["reason"] == "NotInEffect"
    assert namespace.endpoint() == there, "the endpoint is what is, not what was asked for"

    namespace.apply(changed(wanted, "spec.gateway.replicas", 0))
    namespace.wait_condition("Ready", "False", "ScaledToZero")
    assert namespace.get("pod", "ct-to-cloud-gw-0") is None
    namespace.kubectl("delete", "service", "stranger")
    namespace.wait_condition("Programmed", "True")
    assert namespace.condition("Stalled") == {}

    # Paused, what is changed waits, and what somebody deletes stays deleted.
    namespace.kubectl("annotate", "dicomroute", "ct-to-cloud", "dicomroute.dev/paused=true")
    namespace.wait_condition("Paused", "True")
    namespace.kubectl("delete", "poddisruptionbudget", "ct-to-cloud-gw")
    namespace.apply(changed(wanted, "spec.gateway.replicas", 1))
    namespace.wait_condition("Programmed", "False", "Paused")
    assert namespace.get("poddisruptionbudget", "ct-to-cloud-gw") is None
    namespace.kubectl("annotate", "dicomroute", "ct-to-cloud", "dicomroute.dev/paused-")
    namespace.wait_ready()
    assert namespace.condition("Paused") == {}


def test_a_spool_that_cannot_grow_goes_back_to_what_its_claim_has(
    namespace: Namespace, fixed_class: str, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    route = changed(small_route(), "spec.gateway.spool", {"size": "32Mi", "storageClassName": fixed_class})
    namespace.apply(ct, archive_target, route)
    namespace.wait_ready()
    larger = changed(route, "spec.gateway.spool.size", "64Mi")
    namespace.apply(changed(larger, "spec.gateway.resources", {"requests": {"cpu": "51m"}}))
    message = namespace.wait_condition("SpoolResizing", "True", "CannotGrow")["message"]
    assert "stays at 32Mi" in message
    assert CLAIM in namespace.condition("Programmed")["message"]
    namespace.wait(lambda: _cpu(namespace) == "51m", "what is changed beside it does not arrive")
    smaller = namespace.kubectl("patch", "dicomroute", "ct-to-cloud", "--type=merge", "-p", _size("16Mi"), check=False)
    assert "its claim in status.claims" in smaller
    namespace.kubectl("patch", "dicomroute", "ct-to-cloud", "--type=merge", "-p", _size("32Mi"))
    namespace.wait_ready()
    assert namespace.condition("SpoolResizing") == {}
    (claim,) = namespace.route()["status"]["claims"]
    assert claim == {
        "name": CLAIM,
        "state": "Bound",
        "requested": "32Mi",
        "capacity": "32Mi",
        "storageClassName": fixed_class,
        "leftOver": False,
    }


def test_a_quota_that_refuses_the_pod_is_named(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    none = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": 0}}}
    namespace.apply(none)
    namespace.wait(lambda: bool((namespace.get("resourcequota", "no-pods") or {}).get("status")), "no quota")
    namespace.apply(ct, archive_target, small_route())
    message = namespace.wait_condition("Ready", "False", "PodRefused")["message"]
    assert "exceeded quota: no-pods" in message
    namespace.kubectl("delete", "resourcequota", "no-pods")
    namespace.kubectl(
        "annotate", "statefulset", "ct-to-cloud-gw", "example.com/look=again"
    )  # its controller waits long
    namespace.wait_ready()


def test_a_claim_that_is_deleted_under_a_gateway_that_owes_is_an_alarm(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    namespace.apply(ct, archive_target, small_route(mode="HoldDeliveries"))
    namespace.wait_ready()
    assert [
        one.get("status")
        for one in send(namespace.endpoint(), make_corpus(tmp_path / "study", 1, ("examples_overlay.dcm",)))
    ] == [0]
    namespace.wait_instances(owed=1)
    namespace.kubectl("delete", "pvc", CLAIM, "--wait=false")
    message = namespace.wait_condition("SpoolAtRisk", "True", "ClaimTerminating")["message"]
    assert "while 1 instances in it are still owed" in message
    assert namespace.condition("Ready")["status"] == "True"
    assert [one["state"] for one in namespace.route()["status"]["claims"]] == ["Terminating"]
    namespace.apply(small_route())
    namespace.wait_instances(owed=0, deliveredTotal=1)
    namespace.wait(lambda: namespace.condition("SpoolAtRisk") == {}, "the alarm does not end")


def test_a_volume_that_does_not_mount_is_said_in_the_nodes_words(
    namespace: Namespace, broken_volume: str, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    route = changed(small_route(), "spec.gateway.spool", {"size": "64Mi", "storageClassName": broken_volume})
    namespace.apply(ct, archive_target, route)
    message = namespace.wait_condition("Ready", "False", "VolumeNotMounted")["message"]
    assert "/does/not/exist" in message


def test_a_load_balancer_without_an_address_is_said(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(_stranger(type="LoadBalancer", loadBalancerIP="203.0.113.201"))

    def is_taken() -> bool:
        service = namespace.get("service", "stranger") or {}
        return bool(service.get("status", {}).get("loadBalancer", {}).get("ingress"))

    namespace.wait(is_taken, "the stranger gets no address")
    taken = changed(small_route(), "spec.gateway.service.loadBalancerIP", "203.0.113.201")
    namespace.apply(ct, archive_target, taken)
    message = namespace.wait_condition("AddressPending", "True", "NoLoadBalancerAddress")["message"]
    assert "ct-to-cloud-dicom" in message
    namespace.wait_condition("Ready", "True")
    namespace.kubectl("delete", "service", "stranger")
    namespace.wait(lambda: namespace.condition("AddressPending") == {}, "the condition does not end")
    assert namespace.endpoint() == ("203.0.113.201", 104)


def _stranger(type: str, nodePort: int | None = None, **spec: object) -> Json:
    port: Json = {"name": "p", "port": 80}
    port |= {"nodePort": nodePort} if nodePort else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "stranger"},
        "spec": {"type": type, "ports": [port], "selector": {"app": "theirs"}, **spec},
    }


def _cpu(namespace: Namespace) -> str:
    container = (namespace.get("statefulset", "ct-to-cloud-gw") or {})["spec"]["template"]["spec"]["containers"][0]
    return str(container["resources"]["requests"]["cpu"])


def _size(size: str) -> str:
    return f'{{"spec": {{"gateway": {{"spool": {{"size": "{size}"}}}}}}}}'


def _yaml(document: Json) -> str:
    return str(yaml.safe_dump(document))
