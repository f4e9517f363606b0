"""A target says by itself whether it works: before anything is owed to it, and again when it was mended."""

from collections.abc import Callable
from pathlib import Path

from manifests import Json, changed, target
from orthanc import Orthanc
from ports import free_port
from routes import secret, with_password

from cluster import NODE_ADDRESS, Namespace

RIGHT, WRONG = "an-example-of-a-password", "another-example-of-a-password"


def wait(namespace: Namespace, name: str, type_: str, status: str, reason: str) -> str:
    """Wait until a target's condition is this; return its message."""

    def reached() -> bool:
        one = namespace.condition(type_, name, "cloudtarget")
        return (one.get("status"), one.get("reason")) == (status, reason)

    namespace.wait(reached, f"{type_} of {name} is not {status}/{reason}", 60)
    return str(namespace.condition(type_, name, "cloudtarget")["message"])


def test_a_wrong_password_and_then_the_right_one(
    namespace: Namespace, ct: Json, small_route: Callable[..., Json], tmp_path: Path
) -> None:
    archive = Orthanc(tmp_path / "orthanc", host=NODE_ADDRESS, port=free_port(), password=RIGHT)
    try:
        url = f"http://archive.hospital.example:{archive.port}/dicom-web"
        unused = changed(target(), "metadata.name", "unused")
        namespace.apply(ct, with_password(target(url=url)), secret(WRONG), unused, small_route())
        message = wait(namespace, "archive", "Ready", "False", "Unauthorized")
        assert "route ct-to-cloud" in message
        assert "spec.auth" in message
        wait(namespace, "archive", "Reachable", "True", "Reachable")
        wait(namespace, "archive", "Authenticated", "False", "Unauthorized")
        assert "dicomroute test target unused" in wait(namespace, "unused", "Reachable", "Unknown", "NotUsed")
        assert "Unauthorized" in namespace.kubectl("get", "cloudtarget", "archive")
        namespace.apply(secret(RIGHT))
        # The kubelet mounts a changed Secret when it next looks at the pod: a minute later, or when that changes.
        namespace.kubectl("annotate", "pod", "ct-to-cloud-gw-0", "example.com/look=now")
        wait(namespace, "archive", "Ready", "True", "Ready")
        table = namespace.cluster.dicomroute("test", "target", "archive", "-n", namespace.name)
        assert "the gateway of route ct-to-cloud" in table
        assert table.count("Passed") == 4  # DNS, TCP, Credential, Query; there is no TLS
    finally:
        archive.stop()
