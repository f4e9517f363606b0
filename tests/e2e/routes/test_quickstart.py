"""The quickstart's manifests, applied as they stand, bring a study from a modality to an archive."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import data_set_bytes, make_corpus, uid_of
from modality import send
from orthanc import Orthanc

from cluster import NODE_ADDRESS, ROOT, Cluster, Namespace

QUICKSTART = ROOT / "examples" / "quickstart"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    one = Orthanc(tmp_path / "orthanc", host=NODE_ADDRESS, port=8042)
    yield one
    one.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    one = Namespace(cluster, "radiology")
    yield one
    one.delete()


def test_a_study_arrives_byte_for_byte(
    cluster: Cluster, namespace: Namespace, archive: Orthanc, tmp_path: Path
) -> None:
    cluster.kubectl("apply", "-f", str(QUICKSTART))
    namespace.wait_ready("ct-to-archive")
    files = make_corpus(tmp_path / "study", 3, ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm"))
    answers = send(namespace.endpoint("ct-to-archive"), files)
    assert [one["status"] for one in answers] == [0] * len(files)
    namespace.wait_instances("ct-to-archive", owed=0, deliveredTotal=len(files))
    stored = archive.files()
    for file in files:
        assert data_set_bytes(stored[uid_of(file)]) == data_set_bytes(file.read_bytes())

    # What docs/gitops.md lets Argo CD compare: what the API server would make of the manifests with what is there.
    assert cluster.kubectl("diff", "--server-side", "--field-manager=argocd-controller", "-f", str(QUICKSTART)) == ""

    table = cluster.kubectl("get", "dicomroutes", "-n", "radiology")
    assert table.splitlines()[0].split() == [
        "NAME",
        "READY",
        "REASON",
        "ENDPOINT",
        "RECEIVED",
        "OWED",
        "DEADLETTERED",
        "AGE",
    ]
    assert table.splitlines()[1].split()[:3] == ["ct-to-archive", "True", "Ready"]
    assert table.splitlines()[1].split()[4:7] == [str(len(files)), "0", "0"]
    events = {one["reason"]: one["type"] for one in cluster.list("events", "radiology") if "DicomRoute" in str(one)}
    assert events == {"Programmed": "Normal", "Ready": "Normal"}
    for kind, name in (("dicomnode", "ct-1"), ("cloudtarget", "archive")):
        assert namespace.condition("Accepted", name, kind)["status"] == "True"
