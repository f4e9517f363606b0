"""What a person may do to the queue over the admin API: which deliveries a selection means, and what is too much."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from dicomroute_client.documents.queue import QueueSelection, QueueState
from dicomroute_gateway.admin.queue import Queue
from dicomroute_gateway.admin.server import AdminServer
from dicomroute_gateway.configuration.load import load
from dicomroute_gateway.deliver.deliverer import Deliverer
from dicomroute_gateway.deliver.transport import Transport
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.routing import compile_rules
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received, Sender
from dicomroute_gateway.spool.spool import Spool

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
ARCHIVE, RESEARCH, REMOVED = "CloudTarget/archive", "CloudTarget/research", "CloudTarget/removed"
GOLDEN = json.loads((Path(__file__).parents[2] / "golden/full/configuration.json").read_text())
TOKEN = "an-example-token"
PENDING, DEAD, SKIPPED = DeliveryState.PENDING, DeliveryState.DEAD_LETTERED, DeliveryState.SKIPPED


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path / "spool", 1 << 30, 90)
    yield one
    one.close()


def _no_transport(destination: str) -> Transport:
    raise AssertionError(f"nothing is delivered here, to {destination}")


@pytest.fixture
def queue(spool: Spool, tmp_path: Path) -> Queue:
    destinations = [{**one, "accepts": "Any"} for one in GOLDEN["destinations"]]
    text = json.dumps({**GOLDEN, "mode": "Running", "destinations": destinations})
    configuration = load(text, compile_rules).configuration
    active = Active(configuration, compile_rules(configuration.rules))
    return Queue(
        spool,
        Deliverer(spool, Preparing(spool, Path()), lambda: active, _no_transport, Measures()),
        lambda: active,
    )


def store(spool: Spool, hold: str = "", **states: DeliveryState) -> int:
    """Store an instance whose deliveries are in these states, by the names of their destinations."""
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.flush()
    destinations = tuple(f"CloudTarget/{name}" for name in states)
    uid, sender = f"1.2.{incoming.id}", Sender("a-1", "dicom", "CT1", "GATE", "192.0.2.1")
    one = Received(
        incoming.id, 1.0, CT, uid, "1.3", "1.4", EXPLICIT, 0, incoming.digest, sender, 1, destinations, hold=hold
    )  # fmt: skip
    spool.receive(incoming, one)
    spool.settle(
        DeliveryRecord(one.id, f"CloudTarget/{name}", state) for name, state in states.items() if state is not PENDING
    )
    return one.id


def states(spool: Spool, identifier: int) -> dict[str, str]:
    """Return the states of the deliveries of an instance in the spool; nothing when it is gone."""
    found = spool.entries(lambda entry: entry.received.id == identifier)
    return {name: str(one.state) for entry in found for name, one in entry.deliveries.items()}


def test_a_retry_means_dead_letters_and_what_waits_and_skipped_ones_where_it_says_so(
    spool: Spool, queue: Queue
) -> None:
    one = store(spool, archive=DEAD, research=SKIPPED, removed=PENDING)
    assert queue.retry(QueueSelection(all=True)).changed == 2
    assert states(spool, one) == {ARCHIVE: "Pending", RESEARCH: "Skipped", REMOVED: "Pending"}
    assert queue.retry(QueueSelection(all=True, state="Skipped")).changed == 1
    assert states(spool, one)[RESEARCH] == "Pending"
    assert queue.retry(QueueSelection(all=True, state="Delivered")).changed == 0


def test_a_selection_is_narrowed_by_destination_and_state(spool: Spool, queue: Queue) -> None:
    first = store(spool, archive=DEAD, research=DEAD)
    second = store(spool, archive=PENDING, research=DEAD)
    assert queue.drop(QueueSelection(instances=[first, 999], state="Pending")).changed == 0
    assert queue.drop(QueueSelection(all=True, destination=ARCHIVE, state="DeadLettered")).changed == 1
    assert states(spool, first) == {ARCHIVE: "Skipped", RESEARCH: "DeadLettered"}
    assert states(spool, second) == {ARCHIVE: "Pending", RESEARCH: "DeadLettered"}
    assert queue.drop(QueueSelection(all=True, state="DeadLettered")).changed == 2
    assert states(spool, second) == {ARCHIVE: "Pending", RESEARCH: "Skipped"}


def test_held_means_what_the_configuration_holds_and_what_no_rule_took(spool: Spool, queue: Queue) -> None:
    removed, unmatched = store(spool, removed=PENDING, archive=PENDING), store(spool, hold="Unmatched")
    page = queue.page(QueueSelection(all=True, state=QueueState.HELD), 10)
    assert [(one.instance, one.reason) for one in page.items] == [
        (removed, "NoSuchDestination"),
        (unmatched, "Unmatched"),
    ]
    assert queue.drop(QueueSelection(all=True, state="Held")).changed == 2
    assert states(spool, removed) == {REMOVED: "Skipped", ARCHIVE: "Pending"}
    assert queue.page(QueueSelection(all=True), 10).items[0].instance == removed
    assert spool.snapshot().instances.discarded == 1


def test_an_instance_that_is_held_keeps_its_deliveries_when_what_holds_it_is_dropped(
    spool: Spool, queue: Queue
) -> None:
    one = store(spool, hold="RuleError", archive=PENDING)
    assert queue.drop(QueueSelection(instances=[one], state="Held")).changed == 1
    assert states(spool, one) == {ARCHIVE: "Pending"}
    assert spool.snapshot().held_instances == 0


@pytest.mark.parametrize(
    "document",
    [
        {"instances": ["a"]},
        {"state": "Lost"},
        {"state": "pending"},
        {"key": "1"},
        {"everything": True},
        {"instances": list(range(10_001))},
    ],
)
def test_a_selection_that_says_something_else_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QueueSelection.model_validate(document)


Post = Callable[[str, dict[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]


def over_http(queue: Queue, token_file: Path, use: Callable[[Post], Awaitable[None]]) -> None:
    """Serve the queue, and post to it."""
    token_file.write_text(TOKEN)

    async def run() -> None:
        server = AdminServer(  # nobody observes it, and there is no ledger
            lambda: pytest.fail("it was observed"),
            lambda: queue,
            lambda: None,
            token_file,
            Measures(),
            list,
            lambda: None,
            lambda: None,
        )
        port = await server.start("127.0.0.1", 0, health=False, api=True)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:

            async def post(operation: str, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
                async with session.post(f"/api/v1/queue/{operation}", json=document) as response:
                    return response.status, await response.json()

            await use(post)
        await server.stop()

    asyncio.run(run())


def test_to_drop_everything_is_refused_and_names_what_to_do(spool: Spool, queue: Queue, tmp_path: Path) -> None:
    one = store(spool, archive=PENDING, research=DEAD)

    async def use(post: Post) -> None:
        status, answer = await post("drop", {"all": True})
        assert (status, "name a destination or a state" in answer["error"]) == (400, True)
        for document in ({}, {"instances": []}, {"all": True, "instances": [one]}, {"state": "DeadLettered"}):
            status, answer = await post("drop", document)
            assert (status, answer["error"]) == (400, "give either instances or all: true, but not both")
        assert states(spool, one) == {ARCHIVE: "Pending", RESEARCH: "DeadLettered"}, "nothing was dropped"
        assert await post("retry", {"all": True}) == (200, {"changed": 2, "messages": []})
        assert await post("release", {"all": True}) == (200, {"changed": 0, "messages": []})
        assert await post("drop", {"all": True, "destination": RESEARCH}) == (200, {"changed": 1, "messages": []})
        assert await post("drop", {"all": True, "key": "0" * 16}) == (200, {"changed": 0, "messages": []})
        assert await post("drop", {"instances": [one]}) == (200, {"changed": 1, "messages": []})

    over_http(queue, tmp_path / "token", use)
    assert states(spool, one) == {}
    assert replace(spool.snapshot().instances, skipped=0).received == 0


def test_a_reason_or_a_study_says_which(spool: Spool, queue: Queue) -> None:
    unmatched, other = store(spool, hold="Unmatched", archive=PENDING), store(spool, hold="RuleError")
    page = queue.page(QueueSelection(all=True, reason="Unmatched"), 10)
    assert [(one.instance, one.study_instance_uid) for one in page.items] == [(unmatched, "1.4")]
    assert queue.page(QueueSelection(all=True, study="1.5"), 10).items == []
    assert len(queue.page(QueueSelection(all=True, study="1.4"), 10).items) == 3
    assert queue.drop(QueueSelection(all=True, reason="Unmatched")).changed == 1
    assert states(spool, unmatched) == {ARCHIVE: "Pending"}, "what only waits is not given up with it"
    assert [one.instance for one in queue.page(QueueSelection(all=True, state=QueueState.HELD), 10).items] == [other]


def test_of_the_instances_that_are_named_each_that_is_not_changed_is_said(spool: Spool, queue: Queue) -> None:
    waiting = store(spool, archive=PENDING)
    assert queue.retry(QueueSelection(instances=[waiting, 99])).messages == [
        "instance 99 is not in the spool, or does not belong to that study or key"
    ]
    assert queue.release(QueueSelection(instances=[waiting])).messages == [
        f"instance {waiting} is not held because of its rules or its preparation"
    ]
    nothing = queue.drop(QueueSelection(instances=[waiting], state=QueueState.DEAD_LETTERED))
    assert nothing.messages == [f"instance {waiting} has nothing to drop"]


def test_what_got_a_later_version_is_not_retried_and_said(spool: Spool, queue: Queue) -> None:
    old = store(spool, archive=DEAD)
    (entry,) = spool.entries(lambda one: one.received.id == old)
    incoming = spool.begin(CT, "1.2.3", EXPLICIT)
    incoming.write(memoryview(b"corrected"))
    incoming.end()
    corrected = replace(entry.received, id=incoming.id, length=9, digest=incoming.digest)
    spool.receive(incoming, corrected)
    spool.settle([DeliveryRecord(incoming.id, ARCHIVE, DeliveryState.DELIVERED)])
    change = queue.retry(QueueSelection(all=True))
    assert (change.changed, change.messages) == (
        0,
        [f"instance {old} is not sent to {ARCHIVE}, because the destination has a later version of it"],
    )
    assert states(spool, old) == {ARCHIVE: "DeadLettered"}


def test_a_destination_that_there_is_not_is_named(queue: Queue, spool: Spool) -> None:
    store(spool, removed=PENDING)
    assert queue.unknown("archive").startswith("there is no destination 'archive'; there are CloudTarget/archive")
    assert queue.unknown(REMOVED) == queue.unknown(ARCHIVE) == queue.unknown(None) == ""
