"""An operator that starts again finds everything as it left it, and writes nothing but its Lease; and what it may do is
what it does.
"""

import time
from collections.abc import Callable

import yaml
from audit import ACCOUNT, audited, is_quiet, written_since
from manifests import Json, profile
from processes import wait_until

from cluster import OPERATOR_NAMESPACE, Cluster, Namespace


def test_an_operator_that_starts_again_writes_nothing(
    cluster: Cluster, namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    wait_until(is_quiet, "the operator goes on writing", 60)
    before = len(audited())
    cluster.kubectl("rollout", "restart", "deployment/dicomroute", "-n", OPERATOR_NAMESPACE)
    cluster.kubectl("rollout", "status", "deployment/dicomroute", "-n", OPERATOR_NAMESPACE, "--timeout=90s")
    time.sleep(15)  # long enough for every pod to be asked, and for what a status that differs would bring
    assert written_since(before) == []


def test_the_rights_of_the_operator_are_those_that_it_uses(
    cluster: Cluster, namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    """Whatever it was refused is a defect, and so is a right that nothing needs."""
    route = small_route()
    namespace.apply(ct, archive_target, route, profile())
    namespace.wait_ready()
    accepted = lambda: namespace.condition("Accepted", "research", "deidentificationprofile")  # noqa: E731
    namespace.wait(lambda: accepted().get("status") == "True", "the profile is not accepted")
    route["spec"]["gateway"]["networkPolicy"] = "Disabled"
    namespace.apply(route)
    namespace.wait(lambda: namespace.get("networkpolicy", "ct-to-cloud-gw") is None, "the policy stays")
    for _ in range(2):  # what happens again is counted by the same Event
        namespace.kubectl("delete", "dicomnode", "ct-1")
        namespace.wait_condition("ResolvedRefs", "False", "NodeNotFound")
        namespace.apply(ct)
        namespace.wait_condition("ResolvedRefs", "True")
    events = audited()
    refused = [one["responseStatus"]["message"] for one in events if one["responseStatus"]["code"] == 403]
    # Not for want of a right: a namespace that goes, and a class whose claims do not grow, as other tests have it.
    of_the_cluster = ("because it is being terminated", "only dynamically provisioned pvc can be resized")
    assert [message for message in refused if not any(one in message for one in of_the_cluster)] == []
    used = set()
    for one in events:
        reference = one.get("objectRef")
        if reference is None:
            continue  # discovery
        resource = "/".join(step for step in (reference["resource"], reference.get("subresource")) if step)
        used.add((reference.get("apiGroup", ""), resource, one["verb"]))
        if one["verb"] == "patch" and one["responseStatus"]["code"] == 201:
            used.add((reference.get("apiGroup", ""), resource, "create"))  # applying what is not there needs both
    rendered = cluster.helm("get", "manifest", "dicomroute", "-n", OPERATOR_NAMESPACE)
    granted = {
        (group, resource, verb)
        for document in yaml.safe_load_all(rendered)
        if document and document["kind"] in ("Role", "ClusterRole")
        and document["metadata"]["name"] in ("dicomroute", "dicomroute-lease")
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }  # fmt: skip
    assert used <= granted
    # A configuration of an older version is deleted once nothing reads it: there has been one version as yet. Claims
    # are changed when they grow or are taken over, which other tests do. Who takes objects over that were orphaned has
    # to be allowed to delete them: test_owners.
    owned = (("", "services"), ("", "serviceaccounts"), ("", "secrets"), ("apps", "statefulsets"))
    assert granted - used <= {
        ("", "configmaps", "delete"),
        ("", "persistentvolumeclaims", "patch"),
        ("policy", "poddisruptionbudgets", "delete"),
        *((group, resource, "delete") for group, resource in owned),
    }
    assert not any(resource == "secrets" and verb in ("get", "list", "watch") for _, resource, verb in granted)


def test_the_operator_may_not_touch_the_secrets_of_others(cluster: Cluster, namespace: Namespace) -> None:
    refused = cluster.kubectl(
        "-n", namespace.name, "create", "secret", "generic", "theirs", f"--as={ACCOUNT}", check=False
    )
    assert "the operator may write only secrets" in refused
