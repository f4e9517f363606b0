"""Two operators watch one namespace: the second leaves the first one's routes alone, says so, and is handed them."""

from collections.abc import Callable

from manifests import Json

from cluster import OPERATOR_NAMESPACE, ROOT, Cluster, Namespace, built_images, install

SECOND = "dicomroute-second"


def test_the_second_stands_back_until_it_is_handed_the_route(
    cluster: Cluster, namespace: Namespace, archive_target: Json, ct: Json, small_route: Callable[..., Json]
) -> None:
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    pod, secret = namespace.pod()["metadata"]["uid"], _version(namespace)
    images = built_images()[0]
    try:
        _install_second(cluster, images, namespace.name)
        namespace.wait(lambda: _said(namespace) != "", "the second operator says nothing")
        assert f"because the operator {OPERATOR_NAMESPACE}/dicomroute already does" in _said(namespace)
        assert '"event": "route.of_another_operator"' in _log(cluster)
        # Longer than it takes to ask once whether the first is there, and to be answered.
        namespace.wait(lambda: '"event": "route.claimed"' in _log(cluster), "the second never asks", 90)
        namespace.wait(lambda: _operator(namespace) == f"{OPERATOR_NAMESPACE}/dicomroute", "the first does not answer")
        namespace.wait_ready()
        assert (namespace.pod()["metadata"]["uid"], _version(namespace)) == (pod, secret)

        cluster.helm("uninstall", "dicomroute", "-n", OPERATOR_NAMESPACE, "--wait")
        operators = "app.kubernetes.io/name=dicomroute-operator"
        namespace.wait(lambda: not cluster.list("pods", OPERATOR_NAMESPACE, operators), "the first operator stays")
        # Handed over at once, as docs/clusters.md says; by itself the second would ask again in ten minutes.
        namespace.kubectl("annotate", "statefulset", "ct-to-cloud-gw", "dicomroute.dev/operator-")
        namespace.wait(lambda: _version(namespace) != secret, "the second does not take over")
        taken = f"{SECOND}/second-dicomroute"
        namespace.wait(lambda: _operator(namespace) == taken, "the second does not say that the route is its own")
        namespace.wait_ready()
    finally:
        cluster.helm("uninstall", "second", "-n", SECOND, "--wait", check=False)
        cluster.kubectl("delete", "namespace", SECOND, "--wait=false", check=False)
        install(images)


def _install_second(cluster: Cluster, images: dict[str, str], watched: str) -> None:
    values = {"crds.enabled": "false", "admissionPolicies.enabled": "false", "watch.namespaces[0]": watched}
    for name, image in (("image", images["operator"]), ("gateway.image", images["gateway"])):
        repository, _, tag = image.rpartition(":")
        values |= {f"{name}.repository": repository, f"{name}.tag": tag}
    settings = [
        word
        for name, value in values.items()
        for word in ("--set-string" if "tag" in name else "--set", f"{name}={value}")
    ]
    chart = str(ROOT / "charts" / "dicomroute")
    cluster.helm("install", "second", chart, "-n", SECOND, "--create-namespace", "--wait", *settings)


def _said(namespace: Namespace) -> str:
    words = ["get", "events", "--field-selector", "reason=OfAnotherOperator", "-o", "jsonpath={.items[*].message}"]
    return namespace.kubectl(*words)


def _log(cluster: Cluster) -> str:
    return cluster.kubectl("logs", "-n", SECOND, "deployment/second-dicomroute")


def _operator(namespace: Namespace) -> str:
    found = namespace.get("statefulset", "ct-to-cloud-gw") or {}
    return str(found["metadata"]["annotations"].get("dicomroute.dev/operator", ""))


def _version(namespace: Namespace) -> str:
    """Return the version of the admin Secret, which each operator makes of its own key."""
    return str((namespace.get("secret", "ct-to-cloud-gw-admin") or {})["metadata"]["resourceVersion"])
