"""Two routes ask for the same node port or load balancer address: the older keeps it, the newer says so."""

import time
from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed, node
from modality import send
from orthanc import Orthanc

from cluster import Namespace


def test_the_older_route_keeps_what_both_ask_for(
    namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    def with_service(name: str, **service: object) -> Json:
        gateway = {"service": service, "spool": {"size": "64Mi"}}
        return changed(small_route(gateway=gateway), "metadata.name", name)

    port = {"ports": [{"listener": "dicom", "port": 104, "nodePort": 30104}], "type": "NodePort"}
    address = {"loadBalancerIP": "203.0.113.200", "type": "LoadBalancer"}
    namespace.apply(ct, archive_target, with_service("older-port", **port), with_service("older-address", **address))
    namespace.wait_ready("older-port")
    namespace.wait_ready("older-address")
    time.sleep(1.1)  # creation times have whole seconds
    namespace.apply(with_service("newer-port", **port), with_service("newer-address", **address))
    for newer, older in (("newer-port", "older-port"), ("newer-address", "older-address")):
        message = namespace.wait_condition("Accepted", "False", "Conflicted", name=newer)["message"]
        assert f"{namespace.name}/{older}" in message
        assert namespace.condition("Ready", older)["status"] == "True"
        assert namespace.get("statefulset", f"{newer}-gw") is None
    assert namespace.endpoint("older-port") == ("192.0.2.1", 30104)
    assert namespace.endpoint("older-address") == ("203.0.113.200", 11112)
    namespace.kubectl("delete", "dicomroute", "older-port")
    namespace.wait_condition("Accepted", "True", name="newer-port")
    namespace.wait_ready("newer-port")


def test_two_routes_share_the_address_of_a_load_balancer_that_lets_them(
    namespace: Namespace, archive: Orthanc, archive_target: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    def sharing(name: str, port: int) -> Json:
        service = {
            "type": "LoadBalancer",
            "loadBalancerIP": "203.0.113.202",
            "externalTrafficPolicy": "Cluster",
            "annotations": {"metallb.io/allow-shared-ip": "pacs"},
            "ports": [{"listener": "dicom", "port": port}],
        }
        return changed(small_route(gateway={"service": service, "spool": {"size": "64Mi"}}), "metadata.name", name)

    anywhere = node(aeTitle="CT1", anyAddress=True)  # the Service hides the caller's address
    namespace.apply(anywhere, archive_target, sharing("one", 104), sharing("another", 11112))
    files = make_corpus(tmp_path / "study", 2, ("CT_small.dcm",))
    for file, (name, port) in zip(files, (("one", 104), ("another", 11112)), strict=True):
        namespace.wait_ready(name)
        assert namespace.endpoint(name) == ("203.0.113.202", port)
        assert [one["status"] for one in send(("203.0.113.202", port), [file])] == [0]
        namespace.wait_instances(name, receivedTotal=1, owed=0)
    assert archive.count() == 2
    time.sleep(1.1)  # creation times have whole seconds
    namespace.apply(sharing("third", 104))
    message = namespace.wait_condition("Accepted", "False", "Conflicted", name="third")["message"]
    assert "different ports" in message
