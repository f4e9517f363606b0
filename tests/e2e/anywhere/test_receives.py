"""What any cluster can show, reached by kubectl alone: a route comes up, receives by a forwarded port, and tells."""

import json
import re
from pathlib import Path

from corpus import make_corpus
from manifests import route
from pydicom import dcmread
from pynetdicom import AE

from cluster import Cluster, Namespace


def test_a_route_comes_up_receives_and_tells(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    one = route()
    one["spec"]["gateway"] = {"service": {"type": "ClusterIP"}, "spool": {"size": "64Mi"}}
    one["spec"]["listeners"][0]["sources"] = {"policy": "Any"}
    namespace.apply(one)  # without its target everything is held
    namespace.wait_ready(seconds=300)
    assert_says_what_is_in_it(cluster, "gateway", "-n", namespace.name, "exec", "ct-to-cloud-gw-0")
    assert_says_what_is_in_it(cluster, "operator", "-n", "dicomroute-system", "exec", "deployment/dicomroute")
    (file,) = make_corpus(tmp_path, 1, ("CT_small.dcm",))
    with cluster.forward(namespace.name, f"pod/{namespace.pod()['metadata']['name']}", 11112) as forward:
        assert forward.stdout is not None
        found = re.search(r":(\d+) ->", forward.stdout.readline())
        assert found is not None, "kubectl forwards no port"
        assert store(file, int(found[1])) == 0
        forward.terminate()
    namespace.wait_instances(receivedTotal=1, owed=1)
    assert "ct-to-cloud" in cluster.kubectl("get", "dicom", "-n", namespace.name)
    listed = cluster.dicomroute("queue", "list", "--route", "ct-to-cloud", "-n", namespace.name)
    assert "Held" in listed


def store(file: Path, port: int) -> int:
    """Store a file at a port of this machine; return the status."""
    data_set = dcmread(file)
    ae = AE("CT1")
    ae.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="CTGATE")
    assert association.is_established
    try:
        return int(association.send_c_store(data_set).Status)
    finally:
        association.release()


def assert_says_what_is_in_it(cluster: Cluster, name: str, *pod: str) -> None:
    """Look at what an image says it is made of: everything that is locked, with licences, and no addresses."""
    read = "print(open('/opt/dicomroute/share/sbom.cdx.json').read())"
    text = cluster.kubectl(*pod, "--", "/opt/dicomroute/bin/python", "-c", read)
    found = {re.sub("[-_.]+", "-", one["name"].lower()): one for one in json.loads(text)["components"]}
    locked = (Path(__file__).parents[3] / "requirements" / f"{name}.txt").read_text()
    for package, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: \\)?$", locked, re.MULTILINE):
        assert found[package.lower()]["version"] == version
    assert f"dicomroute-{name}" in found
    without = [one for one, component in found.items() if not component.get("licenses")]
    assert len(without) <= 4, without
    assert "externalReferences" not in text
