"""The PACS gets what came and research gets no name; what was in quarantine goes out after the profile has changed."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import pydicom
from corpus import make_corpus
from manifests import Json, changed, profile
from modality import send
from orthanc import Orthanc
from ports import free_port

from cluster import NODE_ADDRESS, Namespace

KEY = base64.b64encode(bytes(range(32))).decode()


def test_research_gets_no_name_and_a_changed_profile_releases_what_was_held(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    research = Orthanc(tmp_path / "research", host=NODE_ADDRESS, port=free_port())
    try:
        strict = changed(archive_target, "metadata.name", "research")
        strict["spec"] |= {
            "url": f"http://research.hospital.example:{research.port}/dicom-web",
            "accepts": "DeidentifiedOnly",
        }
        secret: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "research"},
            "stringData": {"key": KEY},
        }
        rules: list[Json] = [
            {"name": "care", "destinations": [{"kind": "CloudTarget", "name": "archive"}]},
            {
                "name": "research",
                "destinations": [{"kind": "CloudTarget", "name": "research"}],
                "deidentify": {"name": "research"},
            },
        ]
        namespace.apply(ct, archive_target, strict, secret, profile(), small_route(rules=rules))
        namespace.wait_ready()
        files = make_corpus(tmp_path / "study", 3, ("CT_small.dcm",))
        shown = pydicom.dcmread(files[2])
        shown.BurnedInAnnotation = "YES"
        shown.save_as(files[2])
        names = {str(pydicom.dcmread(one).PatientName) for one in files}
        assert [one["status"] for one in send(namespace.endpoint(), files)] == [0] * len(files)
        namespace.wait(lambda: archive.count() == 3, "the PACS has not got what came")
        namespace.wait(lambda: research.count() == 2, "research has not got what may pass")
        namespace.wait_condition("Held", "True", "DeliveriesHeld")

        passed: Json = {"name": "all", "modalities": ["CT"], "action": "Pass"}
        namespace.apply(profile(objects=[passed]))
        namespace.wait_instances(owed=0, deliveredTotal=3)
        assert research.count() == 3
        for file in research.files().values():
            found = pydicom.dcmread(io.BytesIO(file), force=True)
            assert found.PatientIdentityRemoved == "YES"
            assert str(found.PatientName) not in names
    finally:
        research.stop()
