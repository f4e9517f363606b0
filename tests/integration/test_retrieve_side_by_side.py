"""A large C-MOVE stores over a second association where its destination serves one, and over one where it does not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateways import LoneGateway
from retrieving import Client, Receiver, identifier, moving_route
from running import dcmsend
from storescp import StoreSCP
from studies import instance, instance_uid, series_uid, study_uid

SUCCESS = 0x0000
COUNT = 160
STUDY = identifier("STUDY", StudyInstanceUID=study_uid(1))
UIDS = sorted(instance_uid(1, 1, number) for number in range(1, COUNT + 1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{number}.dcm" for number in range(1, COUNT + 1)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(instance(1, 1, number, pixel_bytes=2048))
    return paths


@pytest.fixture
def moved_to(lone: Callable[..., LoneGateway], files: list[Path], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start a gateway that has the study and moves to a port; return it and a client of it."""
    clients: list[Client] = []

    def start(port: int) -> tuple[LoneGateway, Client]:
        gateway = lone(tmp_path / "gateway", moving_route(port=port))
        assert dcmsend(gateway.port, files) == 0
        clients.append(Client(gateway.port))
        return gateway, clients[-1]

    yield start
    for one in clients:
        one.release()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(**options: Any) -> Receiver:
        started.append(Receiver(**options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_two_instances_are_stored_at_a_time(moved_to: Callable[..., Any], receive: Callable[..., Receiver]) -> None:
    receiver = receive(pause_seconds=0.02)
    gateway, client = moved_to(receiver.port)
    assert client.move(STUDY).final == (SUCCESS, (None, COUNT, 0, 0))
    assert receiver.uids() == UIDS, "each once"
    assert (receiver.associations, receiver.most_busy) == (2, 2)
    assert len(receiver.originators) == 1
    few = identifier(
        "IMAGE", StudyInstanceUID=study_uid(1), SeriesInstanceUID=series_uid(1, 1), SOPInstanceUID=UIDS[:20]
    )
    client.move(few)
    assert receiver.associations == 3, "few instances need no second one"
    assert gateway.events("retrieval.failed") == []


def test_a_destination_that_refuses_a_second_association_has_all_by_the_first(
    moved_to: Callable[..., Any], receive: Callable[..., Receiver]
) -> None:
    receiver = receive(pause_seconds=0.01, most_associations=1)
    _, client = moved_to(receiver.port)
    for _ in range(2):
        receiver.received.clear()
        assert client.move(STUDY).final == (SUCCESS, (None, COUNT, 0, 0))
        assert receiver.uids() == UIDS
    assert (receiver.associations, receiver.refused) == (2, 1), "it is not asked again"


def test_a_destination_that_serves_one_after_the_other_has_all_by_the_first(
    moved_to: Callable[..., Any], tmp_path: Path
) -> None:
    """As storescp does: it leaves a second one waiting until the first has ended."""
    with StoreSCP(tmp_path / "kept") as storescp:
        gateway, client = moved_to(storescp.port)
        for _ in range(2):
            assert client.move(STUDY).final == (SUCCESS, (None, COUNT, 0, 0))
        assert len(list(storescp.folder.iterdir())) == COUNT
        assert gateway.events("retrieval.failed") == []


@pytest.mark.parametrize("after", [1, 5])
def test_what_a_second_association_that_ends_leaves_goes_by_the_first(
    moved_to: Callable[..., Any], receive: Callable[..., Receiver], after: int
) -> None:
    first: list[Any] = []
    stored: list[Any] = []

    def abort_the_second(event: Any) -> None:
        if not first:
            first.append(event.assoc)
        if event.assoc is not first[0]:
            stored.append(event)
            if len(stored) == after:
                event.assoc.abort()

    receiver = receive(pause_seconds=0.01, on_store=abort_the_second)
    _, client = moved_to(receiver.port)
    assert client.move(STUDY).final == (SUCCESS, (None, COUNT, 0, 0))
    assert sorted(set(receiver.uids())) == UIDS
    assert len(stored) == after
