"""A destination is down from Friday evening to Monday morning: nothing is given up, and the figures say how long it is.

The clock that dates and durations come from is moved by libfaketime, an hour at a time; time-outs go on as ever.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateways import LoneGateway
from manifests import Json
from metrics import value
from moved_clock import MovedClock
from peer import Answered, Peer
from routes import all_to, local_node, local_route, targets
from weather import ChangingArchive, Weather

SUCCESS = Answered(0)
HOURS = 63
FRIDAY = "2026-03-06 18:00:00"
OUTAGE = (Weather.DOWN, Weather.THROTTLING, Weather.UNAUTHORIZED, Weather.SERVER_ERROR, Weather.SILENT, Weather.HTML)


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def attempts(gateway: LoneGateway) -> int:
    """Return how many attempts were made at what waits for the destination that is down."""
    items = gateway.get("/api/v1/queue?state=Pending&destination=CloudTarget/one&limit=1000")["items"]
    return sum(item["attempts"] for item in items)


def wait_has_all(gateway: LoneGateway, name: str, count: int) -> None:
    gateway.process.wait_until(lambda: gateway.destination(name)["deliveredTotal"] == count, f"{name} has not all")


def test_a_weekend_without_a_destination_costs_nothing(
    lone: Callable[..., LoneGateway], changing: Callable[..., ChangingArchive], tmp_path: Path
) -> None:
    one, two = changing(), changing()
    documents: list[Json] = [
        local_node(),
        *targets(one=one.url, two=two.url),
        local_route(rules=all_to("one", "two")),
    ]
    clock = MovedClock(tmp_path / "clock", FRIDAY)
    gateway = lone(tmp_path, documents, env=clock.environment)
    uids: list[str] = []

    def send(count: int) -> None:
        peer = Peer(gateway.port).associated()
        assert [peer.store_one() for _ in range(count)] == [SUCCESS] * count
        uids.extend(instance.sop_instance_uid for instance in peer.instances)
        peer.close()

    send(5)
    gateway.wait_for(owed=0, deliveredTotal=5)
    one.change(Weather.DOWN)
    clock.advance(3600)
    first = clock.now
    send(20)
    for hour in range(1, HOURS + 1):
        clock.advance(3600)
        if hour % 12 == 0:
            one.change(OUTAGE[hour // 12])
            made = attempts(gateway)
            gateway.process.wait_until(lambda: attempts(gateway) > made, "it is tried no longer")  # noqa: B023
            send(3)
        if hour == 40:
            wait_has_all(gateway, "two", len(uids))
            gateway.kill()
            gateway = lone(tmp_path, documents, env=clock.environment)
            gateway.wait_for(receivedTotal=len(uids))
    held_back = len(uids) - 5
    assert held_back == 35
    gateway.wait_for(owed=held_back, receivedTotal=len(uids), deadLettered=0, skippedTotal=0)
    wait_has_all(gateway, "two", len(uids))

    status = gateway.status()
    age = seconds_of(status["time"]) - seconds_of(status["oldestOwedTime"])
    assert abs(age - HOURS * 3600) < 300, "it is owed for a weekend"
    assert abs(seconds_of(gateway.destination("one")["oldestOwedTime"]) - first) < 120
    assert gateway.destination("two")["oldestOwedTime"] is None
    assert [gateway.destination(name)["state"] for name in ("one", "two")] == ["Waiting", "Active"]
    gateway.process.wait_until(
        lambda: clock.now - seconds_of(gateway.destination("one")["lastError"]["time"]) < 3600, "it is tried no longer"
    )
    metrics = gateway.metrics()
    assert abs(value(metrics, "dicomroute_oldest_owed_seconds") - age) < 60
    oldest = "dicomroute_destination_oldest_owed_seconds"
    assert abs(value(metrics, oldest, destination="CloudTarget/one") - age) < 60
    assert value(metrics, oldest, destination="CloudTarget/two") == 0

    one.change(Weather.UP)
    gateway.wait_for(owed=0, deliveredTotal=len(uids), deadLettered=0, skippedTotal=0)
    assert gateway.status()["oldestOwedTime"] is None
    assert gateway.destination("one")["oldestOwedTime"] is None
    assert {uid: one.copies(uid) >= 1 for uid in uids} == dict.fromkeys(uids, True)
    assert {uid: two.copies(uid) for uid in uids} == dict.fromkeys(uids, 1), "the healthy one was asked once"
    report = gateway.get("/api/v1/report?day=2026-03-06")
    assert report["total"]["deliveredTotal"] == report["total"]["receivedTotal"] == 25
    (item,) = gateway.get(f"/api/v1/ledger?sopInstanceUID={uids[5]}&from=2026-03-06&to=2026-03-06")["items"]
    assert seconds_of(item["finishedTime"]) - seconds_of(item["receivedTime"]) > HOURS * 3600 - 300
    assert gateway.stop() == 0
