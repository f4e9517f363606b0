"""A new default image rolls one route after another, and no further than the first that does not become ready."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from manifests import Json, changed

from cluster import STATE, Cluster, Namespace, built_images, install

ROUTES = ("a-first", "b-second", "c-third")


@pytest.fixture
def images(cluster: Cluster) -> Iterator[dict[str, str]]:
    names, _ = built_images()
    yield names
    install(names)


def image_of(namespace: Namespace, name: str) -> str:
    stateful_set = namespace.get("statefulset", f"{name}-gw")
    assert stateful_set is not None
    return str(stateful_set["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_new_default_image_rolls_one_route_at_a_time(
    cluster: Cluster,
    namespace: Namespace,
    images: dict[str, str],
    archive_target: Json,
    ct: Json,
    small_route: Callable[..., Json],
) -> None:
    pinned = changed(changed(small_route(), "metadata.name", "pinned"), "spec.gateway.image", images["gateway"])
    namespace.apply(ct, archive_target, pinned, *(changed(small_route(), "metadata.name", name) for name in ROUTES))
    for name in (*ROUTES, "pinned"):
        namespace.wait_ready(name)

    install({**images, "gateway": "localhost/does-not-exist:1"})
    namespace.wait_condition("Ready", "False", "ImageUnavailable", name=ROUTES[0])
    time.sleep(10)
    assert [image_of(namespace, name) for name in (*ROUTES[1:], "pinned")] == [images["gateway"]] * 3
    for name in ROUTES[1:]:
        assert namespace.condition("Ready", name)["status"] == "True"

    newer = f"{images['gateway']}-newer"
    subprocess.run(
        ["ctr", "-a", STATE / "run" / "containerd.sock", "-n", "k8s.io", "images", "tag", images["gateway"], newer],
        check=True,
        capture_output=True,
    )
    install({**images, "gateway": newer})
    at_once = []

    def rolled() -> bool:
        sets = [namespace.get("statefulset", f"{name}-gw") or {} for name in ROUTES]
        at_once.append(
            sum(
                one["spec"]["template"]["spec"]["containers"][0]["image"] == newer
                and one["status"].get("readyReplicas", 0) == 0
                for one in sets
            )
        )
        return all(image_of(namespace, name) == newer for name in ROUTES)

    namespace.wait(rolled, "not every route has taken the new image")
    for name in ROUTES:
        namespace.wait_ready(name)
    assert max(at_once) == 1
    assert image_of(namespace, "pinned") == images["gateway"]
