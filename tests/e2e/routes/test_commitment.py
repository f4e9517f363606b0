"""A scanner deletes what is committed to: while the PACS is down, over a new pod, nothing is, and then all of it."""

import time
from collections.abc import Callable
from pathlib import Path

from corpus import data_set_bytes, make_corpus, uid_of
from deleting_scanner import DeletingScanner
from manifests import Json, changed, node
from modality import ADDRESS
from ports import free_port
from routes import PACS
from storescp import StoreSCP

from cluster import NODE_ADDRESS, Namespace

STORESCP = ("+B", "+xa", "--fork", "--disable-host-lookup")
DOWN_SECONDS = 20


def test_a_scanner_deletes_what_the_pacs_has_and_nothing_before(
    namespace: Namespace, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    port, report_port = free_port(), free_port()
    ct = node(aeTitle="CT1", allowedSources=[f"{ADDRESS}/32"], host=ADDRESS, port=report_port, connectionTestSeconds=0)
    store = changed(
        node(aeTitle="PACS", host=NODE_ADDRESS, port=port, connectionTestSeconds=0), "metadata.name", "pacs"
    )
    rules = [{"name": "everything", "destinations": [PACS]}]
    namespace.apply(ct, store, small_route(rules=rules, storageCommitment={"listeners": ["dicom"]}))
    namespace.wait_ready()
    namespace.wait_condition("CommitsOnAnswer", "True", "DestinationOnlyAnswers")
    files = make_corpus(tmp_path / "study", 12, ("CT_small.dcm",))
    sent = {uid_of(file): data_set_bytes(file.read_bytes()) for file in files}
    scanner = DeletingScanner(namespace.endpoint(), report_port, files)
    pacs: StoreSCP | None = None
    try:
        namespace.wait(lambda: len(scanner.events("asked")) == 1, "commitment is not asked for")
        assert [one["status"] for one in scanner.events("stored")] == [0] * len(files)
        (asked,) = scanner.events("asked")
        assert asked["status"] == 0
        namespace.wait_instances(owed=len(files))
        # The request outlives the pod that took it.
        before = namespace.pod()["metadata"]["uid"]
        namespace.kubectl("delete", "pod", "ct-to-cloud-gw-0")
        namespace.wait(
            lambda: (
                (namespace.get("pod", "ct-to-cloud-gw-0") or {}).get("metadata", {}).get("uid") not in (None, before)
            ),
            "there is no new pod",
        )
        namespace.wait_ready()
        time.sleep(DOWN_SECONDS)
        assert scanner.events("reported") == []
        assert all(file.exists() for file in files), "nothing is deleted that the PACS does not have"
        pacs = StoreSCP(tmp_path / "kept", *STORESCP, port=port)
        namespace.wait(lambda: len(scanner.events("deleted")) == len(files), "not everything is committed to")
        (report,) = scanner.events("reported")
        assert report["transaction"] == asked["transaction"]
        assert (sorted(report["committed"]), report["failed"]) == (sorted(sent), {})
        assert not any(file.exists() for file in files)
        assert pacs.data_sets() == sent, "and the PACS has all of it, byte for byte"
        there = max(file.stat().st_mtime for file in pacs.folder.iterdir())
        assert there <= min(one["time"] for one in scanner.events("deleted"))
        namespace.wait_instances(owed=0, deliveredTotal=len(files))
    finally:
        scanner.close()
        if pacs is not None:
            pacs.stop()
