"""Who may call is decided by title and address, and the address is the caller's own, not a node's."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from corpus import make_corpus
from manifests import Json, changed
from modality import ADDRESS, STRANGER, send
from orthanc import Orthanc
from processes import wait_until

from cluster import Namespace


def test_addresses_inside_and_outside_of_allowed_sources(
    namespace: Namespace,
    archive: Orthanc,
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
    tmp_path: Path,
) -> None:
    route = small_route(rules=_rules())
    namespace.apply(ct, archive_target, route)
    namespace.wait_ready()
    files = make_corpus(tmp_path / "study", 2, ("CT_small.dcm",))
    assert [one["status"] for one in send(namespace.endpoint(), files, address=ADDRESS)] == [0, 0]
    # The load balancer lets the node's network in; where it lets everybody in, a stranger's connection is closed before
    # anything is read. An unknown title at a known address is rejected.
    assert source_ranges(namespace) == [f"{ADDRESS}/32"]
    assert send(namespace.endpoint(), files, address=STRANGER)[0]["refused"] == "not reached"
    assert "SourceAddress" not in refused(namespace)
    namespace.apply(changed(route, "spec.gateway.service.loadBalancerSources", "Anywhere"))
    wait_until(lambda: source_ranges(namespace) is None, "the load balancer does not let everybody in")
    wait_until(
        lambda: send(namespace.endpoint(), files, address=STRANGER) and "SourceAddress" in refused(namespace),
        "the gateway has refused nobody",
    )
    assert send(namespace.endpoint(), files, calling="UNKNOWN")[0]["refused"] == "rejected"
    # The rule by the real address has taken both, so that nothing is held.
    namespace.wait_instances(receivedTotal=2, deliveredTotal=2)
    assert refused(namespace).keys() == {"SourceAddress", "CallingAETitle"}
    assert refused(namespace)["CallingAETitle"] == 1


def refused(namespace: Namespace) -> dict[str, float]:
    """Return how many associations the gateway has refused, by reason."""
    metrics = namespace.kubectl(
        "exec", "ct-to-cloud-gw-0", "--", "/opt/dicomroute/bin/python", "-c",
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())",
    )  # fmt: skip
    found = re.findall(r'^dicomroute_associations_refused_total{reason="(\w+)"} ([0-9.]+)$', metrics, re.MULTILINE)
    return {reason: float(count) for reason, count in found}


def source_ranges(namespace: Namespace) -> list[str] | None:
    """Return the networks that the load balancer lets in."""
    service = json.loads(namespace.kubectl("get", "service", "ct-to-cloud-dicom", "--output=json"))
    found: list[str] | None = service["spec"].get("loadBalancerSourceRanges")
    return found


def _rules() -> list[Json]:
    """A rule by the real address: what the gateway has seen decides where an instance goes."""
    return [
        {
            "name": "by-address",
            "when": f'association.address == "{ADDRESS}"',
            "destinations": [{"kind": "CloudTarget", "name": "archive"}],
        }
    ]
