"""What stands and changes is told in pairs, over restarts too; who is refused is told, and never without bound."""

import json
from collections.abc import Mapping
from dataclasses import replace

from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dimse.refused import RefusalCount, RefusedCaller
from dicomroute_gateway.events.levels import DestinationSeen, Levels, Seen
from dicomroute_gateway.events.refusals import Refusals
from dicomroute_gateway.events.told import Teller, Told

TELLER = Teller("/namespaces/n/dicomroutes/r/gateways/g")
ARCHIVE = Destination("CloudTarget/archive")
BEGUN = Seen(100.0, 90.0, is_ready=True, reasons=(), hash="a", generation=1, rejected=())
WORKS = DestinationSeen(owes=False, fails=False)
FAILS = DestinationSeen(owes=True, fails=True, reason="ConnectionFailed")


class Feed:
    """What is told, by processes that come and go."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        self.told: list[Told] = []
        self.restart()

    def restart(self) -> None:
        self.levels = Levels(TELLER)

    def look(self, seen: Seen) -> list[str]:
        told, changed = self.levels.look(seen, self.standing)
        for name, value in changed.items():
            if value is None:
                self.standing.pop(name, None)
            else:
                self.standing[name] = value
        self.told += told
        return [one.name for one in told]

    def data(self, index: int) -> Mapping[str, object]:
        return dict(json.loads(self.told[index].document)["data"])


def at(now: float, destination: DestinationSeen | None = None, **more: object) -> Seen:
    destinations = {ARCHIVE: destination} if destination is not None else {}
    return replace(BEGUN, now=now, destinations=destinations, **more)  # type: ignore[arg-type]


def test_a_short_fault_is_not_told_and_a_long_one_ends_whoever_sees_its_end() -> None:
    feed = Feed()
    assert feed.look(at(100, WORKS)) == ["health"]
    assert feed.look(at(101, FAILS)) == []
    assert feed.look(at(105, replace(WORKS, taken_time=104.0))) == []
    assert feed.look(at(106, FAILS)) == []
    assert feed.look(at(117, FAILS)) == ["destination.stalled"]
    since = feed.data(-1)["since"]
    feed.restart()
    assert feed.look(at(120, DestinationSeen(owes=True, fails=False))) == [], "a new process has not seen it work"
    assert feed.look(at(121, DestinationSeen(owes=True, fails=False, taken_time=120.5))) == ["destination.recovered"]
    assert (feed.data(-1)["since"], feed.data(-1)["because"], feed.data(-1)["seconds"]) == (since, "Taken", 15)


def test_a_stall_ends_when_nothing_is_owed_or_no_rule_names_it() -> None:
    for last, because in ((WORKS, "NothingOwed"), (None, "Removed")):
        feed = Feed()
        feed.look(at(100, FAILS))
        assert "destination.stalled" in feed.look(at(111, FAILS))
        assert feed.look(at(112, last)) == ["destination.recovered"]
        assert feed.data(-1)["because"] == because
        assert feed.look(at(130, last)) == []


def test_pressure_health_configuration_and_tests_are_told_when_they_change() -> None:
    feed = Feed()
    feed.look(at(100))
    assert feed.look(at(101, used_bytes=90, watermark_bytes=90)) == ["spool.pressure.begun"]
    assert feed.look(at(102, used_bytes=89, watermark_bytes=90)) == [], "it swings around its watermark"
    feed.restart()
    assert feed.look(at(103, used_bytes=80, watermark_bytes=90)) == ["spool.pressure.ended"]
    assert feed.look(at(104, hash="b", generation=2)) == ["configuration.changed"]
    invalid = {"hash": "b", "generation": 2, "rejected": [("rules", "RuleInvalid")]}
    assert feed.look(at(105, **invalid)) == ["configuration.rejected"]
    assert feed.data(-1) == {"reasons": ["RuleInvalid"], "sections": ["rules"]}
    assert feed.look(at(106, **invalid)) == []
    known = {"hash": "b", "generation": 2}
    assert feed.look(at(107, is_ready=False, reasons=["SpoolFailed"], **known)) == ["health"]
    assert feed.look(at(108, **known)) == ["health"]
    assert feed.look(at(109, started=108.5, **known)) == ["health"], "another process"
    tested = replace(WORKS, ready="False", ready_reason="DNSFailed", tested_time=110.0)
    assert feed.look(at(110, tested, started=108.5, **known)) == ["destination.tested"]
    assert feed.look(at(111, replace(tested, tested_time=111.0), started=108.5, **known)) == []
    ids = [one.id for one in feed.told]
    assert len(ids) == len(set(ids))


def caller(title: str | None, address: str = "192.0.2.1") -> RefusedCaller:
    return RefusedCaller(title, "GATE", address, "dicom", "UnknownCallingAETitle")


def test_a_caller_is_told_at_once_and_hourly_and_a_crowd_as_one() -> None:
    refusals = Refusals(TELLER)
    one = RefusalCount(caller("CT9"), 1, 0.0, 0.0)
    (first,) = refusals.look([one], 0.0)
    assert json.loads(first.document)["data"]["count"] == 1
    assert refusals.look([replace(one, count=500, last_time=10.0)], 10.0) == []
    (later,) = refusals.look([replace(one, count=500, last_time=10.0)], 3601.0)
    assert json.loads(later.document)["data"]["count"] == 499
    crowd = [RefusalCount(caller(f"X{number}"), 1, 0.0, 0.0) for number in range(200)]
    told = refusals.look(crowd, 3602.0)
    assert len(told) == 20, "nineteen besides the one of before, and the others"
    gathered = json.loads(told[-1].document)["data"]
    assert (gathered["callers"], gathered["count"], gathered["callingAETitle"]) == (181, 181, None)
    seconds = range(3603, 7200)
    more = [refusals.look([RefusalCount(caller(f"Y{now}"), 1, 0.0, 0.0)], float(now)) for now in seconds]
    assert sum(map(len, more)) <= 3600 / 300 + 20


def test_a_title_is_told_if_it_is_one() -> None:
    refusals = Refusals(TELLER)
    names = ["CT 1", "PLANTED^NAME^TOO^LONG", "a\x00b", "ümlaut", "", None]
    told = refusals.look([RefusalCount(caller(name), 1, 0.0, 0.0) for name in names], 0.0)
    assert [json.loads(one.document)["data"]["callingAETitle"] for one in told] == [
        "CT 1",
        None,
        None,
        None,
        None,
        None,
    ]
