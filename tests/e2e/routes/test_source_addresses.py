"""Who may call is decided by title and address, and the address is the caller's own, not a node's."""

from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json
from modality import ADDRESS, STRANGER, send
from orthanc import Orthanc

from cluster import Namespace


def test_addresses_inside_and_outside_of_allowed_sources(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    namespace.apply(ct, archive_target, small_route(rules=_rules()))
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 2, ("CT_small.dcm",))
    assert [one["status"] for one in send(namespace.endpoint(), files, address=ADDRESS)] == [0, 0]
    # A stranger's connection is closed before anything is read; an unknown title at a known address is rejected.
    assert send(namespace.endpoint(), files, address=STRANGER)[0]["refused"] == "not reached"
    assert send(namespace.endpoint(), files, calling="UNKNOWN")[0]["refused"] == "rejected"
    # The rule by the real address has taken both, so that nothing is held.
    namespace.wait_instances(receivedTotal=2, deliveredTotal=2)
    metrics = namespace.kubectl(
        "exec", "ct-to-cloud-gw-0", "--", "/opt/dicomroute/bin/python", "-c",
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())",
    )  # fmt: skip
    for reason in ("SourceAddress", "CallingAETitle"):
        assert f'dicomroute_associations_refused_total{{reason="{reason}"}} 1.0' in metrics


def _rules() -> list[Json]:
    """A rule by the real address: what the gateway has seen decides where an instance goes."""
    return [
        {
            "name": "by-address",
            "when": f'association.address == "{ADDRESS}"',
            "destinations": [{"kind": "CloudTarget", "name": "archive"}],
        }
    ]
