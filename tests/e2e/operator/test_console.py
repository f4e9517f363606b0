"""The console that the chart installs: a viewer of one namespace sees that one alone."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from manifests import Json

from cluster import Cluster, Namespace, built_images, install

SYSTEM = "dicomroute-system"


@pytest.fixture
def console(cluster: Cluster) -> Iterator[str]:
    """Enable the console in the release that the run has installed, and return where it is."""
    images, _ = built_images()
    name, _, tag = images["console"].rpartition(":")
    image = f"console.image.repository={name},console.image.tag={tag}"
    install(images, "--set", f"console.enabled=true,{image}")
    cluster.kubectl("rollout", "status", "-n", SYSTEM, "deployment/dicomroute-console", "--timeout=120s")
    forward = cluster.forward(SYSTEM, "service/dicomroute-console", 80)
    try:
        assert forward.stdout is not None
        found = re.search(r":(\d+) ->", forward.stdout.readline())
        assert found
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        forward.terminate()
        forward.wait()
        install(images, "--set", "console.enabled=false")


def ask(url: str, token: str = "") -> tuple[int, Any]:
    """Return status and document of a question."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def token(namespace: Namespace, name: str, role: str) -> str:
    """Return the token of an account that has one of the cluster's roles in a namespace."""
    namespace.kubectl("create", "serviceaccount", name)
    namespace.kubectl(
        "create", "rolebinding", name, f"--clusterrole={role}", f"--serviceaccount={namespace.name}:{name}"
    )
    return namespace.kubectl("create", "token", name).strip()


def test_a_viewer_of_one_namespace_sees_that_one_alone(
    cluster: Cluster,
    namespace: Namespace,
    console: str,
    ct: Json,
    archive_target: Json,
    small_route: Callable[..., Json],
) -> None:
    other = Namespace(cluster, f"{namespace.name}-2")
    try:
        for one in (namespace, other):
            one.apply(ct, archive_target, small_route())
        namespace.wait_ready()
        viewer, editor = token(namespace, "viewer", "view"), token(namespace, "editor", "admin")
        assert ask(f"{console}/api/v1/health") == (200, {"status": "ok"})
        assert ask(f"{console}/api/v1/routes")[0] == 401
        status, routes = ask(f"{console}/api/v1/routes", viewer)
        assert (status, [one["namespace"] for one in routes]) == (200, [namespace.name])
        mine, theirs = (f"{console}/api/v1/routes/{one.name}/ct-to-cloud" for one in (namespace, other))
        assert ask(mine, viewer)[1]["gatewaysProblem"]
        assert ask(f"{mine}/queue", viewer)[0] == 403
        assert ask(theirs, viewer)[0] == ask(f"{theirs}/queue", editor)[0] == 403
        status, queue = ask(f"{mine}/queue", editor)
        assert (status, [one["problem"] for one in queue["gateways"]]) == (200, [""]), "its gateway answers"
    except subprocess.CalledProcessError as error:
        raise AssertionError(error.stderr) from error
    finally:
        other.delete()
