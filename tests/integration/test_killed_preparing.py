"""Killed with -9 at each step of preparing: each of three destinations gets its own form, byte for byte."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import killed_preparing
import pytest
from corpus import make_corpus
from gateways import LoneGateway
from manifests import Json, changed, profile
from origin_server import OriginServer
from routes import local_node, local_route, references, targets
from running import dcmsend
from treated_ct import KEY

NAMES = ("changed", "research", "both")
RENAME = {"replace": {"attribute": "PatientID", "value": "'CHANGED'", "record": False}}
DEIDENTIFY = {"deidentify": {"name": "research"}}


class Three:
    """Three servers, each of which gets another form of what comes."""

    def __init__(self) -> None:
        self.servers = {name: OriginServer() for name in NAMES}

    def manifests(self) -> list[Json]:
        steps: dict[str, Json] = {"changed": {"transform": [RENAME]}, "research": DEIDENTIFY}
        steps["both"] = steps["changed"] | DEIDENTIFY
        rules = [{"name": name, "destinations": references(name), **steps[name]} for name in NAMES]
        secret: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "research"},
            "stringData": {"key": base64.b64encode(KEY).decode()},
        }
        served = [
            changed(one, "spec.onDuplicate", "Accept")
            for one in targets(**{name: server.url for name, server in self.servers.items()})
        ]
        return [local_node(), secret, profile(), *served, local_route(rules=rules)]

    def kept(self) -> dict[str, set[bytes]]:
        return {name: set(server.kept) for name, server in self.servers.items()}

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


@pytest.fixture
def three() -> Iterator[Three]:
    one = Three()
    yield one
    one.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 2, ("CT_small.dcm",))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> dict[str, set[bytes]]:
    """What the three get of a gateway that nobody kills."""
    three = Three()
    gateway = LoneGateway(tmp_path_factory.mktemp("undisturbed"), three.manifests())
    assert dcmsend(gateway.port, files) == 0
    gateway.wait_for(owed=0, deliveredTotal=len(files))
    gateway.kill()
    found = three.kept()
    three.close()
    assert [len(found[name]) for name in NAMES] == [len(files)] * 3
    every = [file for kept in found.values() for file in kept]
    assert len(set(every)) == 3 * len(files), "two destinations get the same form"
    return found


@pytest.mark.parametrize("step", killed_preparing.STEPS)
def test_each_gets_its_own_form_whenever_the_gateway_is_killed(
    tmp_path: Path,
    lone: Callable[..., LoneGateway],
    three: Three,
    files: list[Path],
    undisturbed: dict[str, set[bytes]],
    step: str,
) -> None:
    program = (killed_preparing.__file__,)
    first = lone(tmp_path / "gateway", three.manifests(), program=program, env={"DICOMROUTE_KILLED_AT": step})
    acknowledged = dcmsend(first.port, files) == 0
    first.process.wait(30)
    for name, kept in three.kept().items():
        assert kept <= undisturbed[name], f"{name} has got another form"
    again = lone(tmp_path / "gateway", three.manifests())
    if not acknowledged:
        assert dcmsend(again.port, files) == 0
    again.wait_for(owed=0)
    assert three.kept() == undisturbed
    again.process.wait_until(
        lambda: not list((tmp_path / "gateway" / "spool" / "derived").glob("*")), "derived files are left behind"
    )
