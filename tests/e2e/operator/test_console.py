"""The console that the chart installs: a viewer of one namespace sees that one alone, and local users sign in."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from argon2 import PasswordHasher
from manifests import Json

from cluster import Cluster, Namespace, built_images, install

SYSTEM = "dicomroute-system"


PASSWORD = "a-password-of-the-tests"


@contextmanager
def installed(cluster: Cluster, *values: str) -> Iterator[str]:
    """Enable the console in the release that the run has installed, and return where it is."""
    images, _ = built_images()
    name, _, tag = images["console"].rpartition(":")
    image = f"console.image.repository={name},console.image.tag={tag}"
    install(images, "--set", ",".join(["console.enabled=true", image, *values]))
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
        install(images, "--set", "console.enabled=false,console.signIn.usersSecretName=")


@pytest.fixture
def console(cluster: Cluster) -> Iterator[str]:
    """Where a console is that asks the cluster with the tokens of its users."""
    with installed(cluster) as url:
        yield url


@pytest.fixture
def local_users(cluster: Cluster) -> Iterator[str]:
    """Where a console is that lets in a local user, one of the group `readers`."""
    line = f"linus:{PasswordHasher().hash(PASSWORD)}:readers"
    cluster.kubectl("create", "secret", "generic", "local-users", "-n", SYSTEM, f"--from-literal=users={line}")
    try:
        with installed(cluster, "console.signIn.usersSecretName=local-users") as url:
            yield url
    finally:
        cluster.kubectl("delete", "secret", "local-users", "-n", SYSTEM)


def ask(url: str, token: str = "", cookie: str = "") -> tuple[int, Any]:
    """Return status and document of a question."""
    headers = {"Authorization": f"Bearer {token}"} if token else {"Cookie": cookie} if cookie else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def signed_in(url: str, user: str, password: str) -> tuple[int, str]:
    """Sign in with a form as a browser does; return the status and the cookie of the session."""
    host = urlsplit(url)
    form = urlencode({"user": user, "password": password})
    connection = HTTPConnection(str(host.hostname), host.port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": url}
    connection.request("POST", "/sign-in", form, headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status, (answer.getheader("Set-Cookie") or "").partition(";")[0]


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


def test_a_local_user_asks_a_gateway_by_the_rights_of_his_group(
    namespace: Namespace, local_users: str, ct: Json, archive_target: Json, small_route: Callable[..., Json]
) -> None:
    """The pod of the console has no admin key: what its init container left makes the tokens that gateways take."""
    namespace.apply(ct, archive_target, small_route())
    namespace.wait_ready()
    queue = f"{local_users}/api/v1/routes/{namespace.name}/ct-to-cloud/queue"
    assert signed_in(local_users, "linus", "another")[0] == 401
    status, cookie = signed_in(local_users, "linus", PASSWORD)
    assert (status, bool(cookie)) == (303, True)
    assert ask(queue, cookie=cookie)[0] == 403, "his group has no right yet"
    rights = ["--verb=get,list", "--resource=dicomroutes.dicomroute.dev,dicomroutes.dicomroute.dev/queue"]
    namespace.kubectl("create", "role", "readers", *rights)
    namespace.kubectl("create", "rolebinding", "readers", "--role=readers", "--group=local:readers")

    def answered() -> bool:
        status, found = ask(queue, cookie=cookie)
        return status == 200 and [one["problem"] for one in found["gateways"]] == [""]

    namespace.wait(answered, "the gateway does not answer a local user", 90)  # an answer of RBAC counts for 30 s
