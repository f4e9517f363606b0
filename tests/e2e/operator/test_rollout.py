"""A new default image rolls one route after another, and no further than the first that does not become ready."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from manifests import Json, changed, node, target

from cluster import STATE, Cluster, Namespace, built_images, install

ROUTES = ("a-first", "b-second")


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, str]]:
    """The images that the chart was installed with; once no test here is left they are its images again."""
    names, _ = built_images()
    yield names
    install(names)


@pytest.fixture(scope="module")
def routes(cluster: Cluster, images: dict[str, str], small_route: Callable[..., Json]) -> Iterator[Namespace]:
    """A namespace with two routes that have the default image and one that names its own, all ready."""
    namespace = Namespace(cluster, "rollout")
    pinned = changed(changed(small_route(), "metadata.name", "pinned"), "spec.gateway.image", images["gateway"])
    others = (changed(small_route(), "metadata.name", name) for name in ROUTES)
    namespace.apply(node(aeTitle="CT1", anyAddress=True), target(), pinned, *others)
    for name in (*ROUTES, "pinned"):
        namespace.wait_ready(name)
    yield namespace
    namespace.delete()


def image_of(namespace: Namespace, name: str) -> str:
    stateful_set = namespace.get("statefulset", f"{name}-gw")
    assert stateful_set is not None
    return str(stateful_set["spec"]["template"]["spec"]["containers"][0]["image"])


def test_an_image_that_there_is_not_stops_at_the_first_route_until_one_is_named_that_there_is(
    routes: Namespace, images: dict[str, str]
) -> None:
    install({**images, "gateway": "localhost/does-not-exist:1"})
    routes.wait_condition("Ready", "False", "ImageUnavailable", name=ROUTES[0])
    time.sleep(10)  # long enough for a turn that is given wrongly to show in another route
    assert [image_of(routes, name) for name in (*ROUTES[1:], "pinned")] == [images["gateway"]] * 2
    for name in ROUTES[1:]:
        assert routes.condition("Ready", name)["status"] == "True"

    install(images)
    routes.wait(lambda: image_of(routes, ROUTES[0]) == images["gateway"], "the first route keeps the image")
    routes.wait_ready(ROUTES[0])


def test_a_new_default_image_rolls_one_route_at_a_time(routes: Namespace, images: dict[str, str]) -> None:
    newer = f"{images['gateway']}-newer"
    tag = ["ctr", "-a", STATE / "run" / "containerd.sock", "-n", "k8s.io", "images", "tag", "--force"]
    subprocess.run([*tag, images["gateway"], newer], check=True, capture_output=True)
    install({**images, "gateway": newer})
    at_once = []

    def rolled() -> bool:
        sets = [routes.get("statefulset", f"{name}-gw") or {} for name in ROUTES]
        at_once.append(
            sum(
                one["spec"]["template"]["spec"]["containers"][0]["image"] == newer
                and one["status"].get("readyReplicas", 0) == 0
                for one in sets
            )
        )
        return all(image_of(routes, name) == newer for name in ROUTES)

    routes.wait(rolled, "not every route has taken the new image")
    for name in ROUTES:
        routes.wait_ready(name)
    assert max(at_once) == 1
    assert image_of(routes, "pinned") == images["gateway"]

    # Any other default that replaces pods goes the same way, for routes with an image of their own too.
    install({**images, "gateway": newer}, "--set", "gateway.podLabels.team=pacs")
    everyone = (*ROUTES, "pinned")
    labelled: list[int] = []

    def has_label() -> bool:
        sets = [routes.get("statefulset", f"{name}-gw") or {} for name in everyone]
        news = [one for one in sets if one["spec"]["template"]["metadata"]["labels"].get("team") == "pacs"]
        labelled.append(sum(one["status"].get("readyReplicas", 0) == 0 for one in news))
        return len(news) == len(everyone)

    routes.wait(has_label, "not every route has the label")
    for name in everyone:
        routes.wait_ready(name)
    assert max(labelled) == 1
