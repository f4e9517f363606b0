"""Whatever a server answers, in whatever order: every instance ends there, or as a dead letter that says why."""

import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import origin_plays as plays
from delivering import Delivering, file_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from origin_server import OriginServer, Play, Reply, stored, uid_of

from dicomroute_gateway.deliver.cloud.replies.result import HTTPAnswer, parse_result
from dicomroute_gateway.spool.records import DeliveryState, Received


def every_second(uid: str) -> bool:
    return int(uid.rpartition(".")[2]) % 2 == 0


PLAYS: dict[str, Play] = {
    "stored": stored,
    "reset": plays.reset_after_upload,
    "cut off": plays.cut_off,
    "truncated": plays.truncated_json,
    "HTML": plays.status(200, b"<html>", "text/html"),
    "204": plays.status(204),
    "202": plays.status(202),
    **{str(code): plays.status(code) for code in (307, 400, 401, 403, 404, 409, 413, 415, 424, 429, 500, 503)},
    "exists": plays.unless_it_exists(45070),
    "google": plays.google(),
    "A900 of some": plays.refuse_some(every_second, 0xA900),
    "A700": plays.refuse(0xA700),
    "0110 of some": plays.refuse_some(every_second, "0110"),
    "two parts, 503": plays.parts_until(2, 503),
    "two parts, 500": plays.parts_until(2, 500, "text/plain"),
    "some omitted": plays.omit(every_second),
    "XML": plays.as_xml,
    "warnings": plays.warn("B006"),
    "late": plays.late(0.05),
}


class AnyServer(RuleBasedStateMachine):
    """A gateway, a server that plays anything, and senders that send, send again, and send later versions."""

    @initialize(
        provider=st.sampled_from(["Azure", "Google", "AWS", "Orthanc", "Dcm4chee", "Generic"]),
        policy=st.sampled_from(["AcceptIdentical", "Overwrite", "Fail"]),
        keeps_first=st.booleans(),
    )
    def begin(self, provider: str, policy: str, keeps_first: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.server = OriginServer(keeps_first=keeps_first)
        self.server.always = self.watched("stored")
        self.options: dict[str, Any] = {"provider": provider, "onDuplicate": policy}
        self.gateway = Delivering(Path(self.folder.name), self.server, **self.options)
        self.numbers = itertools.count()
        self.sent: dict[bytes, Received] = {}
        """By the file that it becomes."""
        self.last: list[tuple[Received, bytes]] = []
        self.taken: Counter[bytes] = Counter()
        self.acknowledged: Counter[bytes] = Counter()
        """How often each file was taken in, and how often the server said truly that it has it."""
        self.too_often: list[str] = []

    def watched(self, name: str) -> Play:
        """Return a play that notes what is sent although its last answer was a success."""

        def play(server: OriginServer, files: list[bytes]) -> Reply:
            self.too_often += [f"{uid_of(file)} before {name}" for file in files if self.is_enough(file)]
            reply = PLAYS[name](server, files)
            result = parse_result(HTTPAnswer(reply.status, reply.content_type, reply.body))
            if result is not None and not reply.is_reset and reply.announced_bytes is None:
                with server.lock:
                    there = {file for file in files if server.files.get(uid_of(file)) == file}
                self.acknowledged.update(file for file in there if uid_of(file) in result.stored)
            return reply

        return play

    def is_enough(self, file: bytes) -> bool:
        return self.acknowledged[file] >= self.taken[file]

    def take(self, data_set: bytes, uid: str = "") -> Received:
        received = self.gateway.receive(data_set, uid)
        self.taken[file_of(received, data_set)] += 1
        return received

    @rule(count=st.integers(1, 12))
    def receive(self, count: int) -> None:
        for _ in range(count):
            data_set = b"%04d" % next(self.numbers)
            self.last.append((self.take(data_set), data_set))
            self.sent[file_of(*self.last[-1])] = self.last[-1][0]

    @rule()
    def receive_again(self) -> None:
        for received, data_set in self.last[-3:]:
            self.take(data_set, received.sop_instance_uid)

    @rule()
    def receive_a_later_version(self) -> None:
        for received, _ in self.last[-2:]:
            if self.server.keeps_first and self.gateway.delivery(received) is None:
                continue  # what the spool has forgotten, a server that keeps the first keeps in silence
            data_set = b"%04d" % next(self.numbers)
            self.sent[file_of(received, data_set)] = self.take(data_set, received.sop_instance_uid)

    @rule(names=st.lists(st.sampled_from(sorted(PLAYS)), min_size=1, max_size=6))
    def deliver(self, names: list[str]) -> None:
        self.server.plays.extend(self.watched(name) for name in names)
        self.gateway.run(self.gateway.is_settled)
        self.server.plays.clear()
        self.judge()

    @rule()
    def restart(self) -> None:
        self.gateway.close()
        self.gateway = Delivering(Path(self.folder.name), self.server, **self.options)

    def judge(self) -> None:
        assert self.too_often == []
        dead = {
            entry.received.id: delivery.reason
            for entry in self.gateway.spool.entries(lambda _: True)
            for delivery in entry.deliveries.values()
            if delivery.state is DeliveryState.DEAD_LETTERED
        }
        assert all(dead.values())
        for file, received in self.sent.items():
            assert file in self.server.kept or received.id in dead, f"{received.sop_instance_uid} is nowhere"

    def teardown(self) -> None:
        if hasattr(self, "gateway"):
            self.gateway.run(self.gateway.is_settled)
            self.judge()
            self.gateway.close()
            self.server.close()
            self.folder.cleanup()


AnyServer.TestCase.settings = settings(max_examples=25, stateful_step_count=10, deadline=None)
TestAnyServer = AnyServer.TestCase
