"""Programs that read on and on: both clients and the command line, over a restart, and told when they are too late."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from itertools import islice

import pytest
from admin_clients import gateway
from corpus import FILES
from processes import wait_until
from routes import local_node, local_route, to
from running import DICOMROUTE, Running, cli, storescu

from dicomroute_client import asynchronous, blocking
from dicomroute_client.documents.events import EventDocument
from dicomroute_client.errors import AdminError, Refused, TooOld, Unknown

NOWHERE = "http://127.0.0.1:9/dicom-web"
CT, MR = FILES / "CT_small.dcm", FILES / "MR_small.dcm"


@pytest.fixture
def running(run: Callable[..., Running]) -> Running:
    return run(local_node(), to(NOWHERE), local_route())


def waiting_client(running: Running, token: str = "") -> blocking.AdminClient:
    known = gateway(running)
    return blocking.AdminClient(known.url, token or known.token, running.tls)


def test_both_clients_come_back_after_a_restart_and_miss_nothing(running: Running) -> None:
    assert storescu(running.port, [CT]) == 0
    failures: list[AdminError] = []
    types = ("study.received",)
    follower = blocking.EventFollower(
        waiting_client(running), types=types, failed=lambda error, _seconds: failures.append(error)
    )
    events = iter(follower)
    first = next(events)
    running.kill_gateway()  # it is started again, on the same ports
    running.wait_for(receivedTotal=1)
    assert storescu(running.port, [MR]) == 0
    second = next(events)
    assert (first.name, second.name) == ("study.received", "study.received")
    assert first.subject != second.subject
    cursor = follower.cursor

    async def follow() -> list[EventDocument]:
        async with asynchronous.session() as session:
            client = asynchronous.AdminClient(session)
            found = []
            async for event in asynchronous.EventFollower(client, gateway(running), types=types):
                found.append(event)
                if len(found) == 2:
                    break
            return found

    assert [one.id for one in asyncio.run(follow())] == [first.id, second.id]
    assert cursor
    assert [one.id for one in islice(blocking.EventFollower(waiting_client(running), cursor, types), 1)] == [second.id]


def test_a_reader_that_is_too_late_or_not_known_is_told_and_does_not_ask_again(running: Running) -> None:
    with pytest.raises(TooOld, match="without `after`"):
        next(iter(blocking.EventFollower(waiting_client(running), "00-1")))
    with pytest.raises(Refused) as refused:
        next(iter(blocking.EventFollower(waiting_client(running, "a-wrong-token"))))
    assert refused.value.status == 401

    async def follow() -> None:
        async with asynchronous.session() as session:
            stranger = gateway(running, token="a-wrong-token")
            async for _ in asynchronous.EventFollower(asynchronous.AdminClient(session), stranger):
                pass

    with pytest.raises(Unknown):
        asyncio.run(follow())


def test_the_command_line_prints_events_and_follows_them(running: Running) -> None:
    where = ("--admin", running.admin, "--state", str(running.state))
    assert storescu(running.port, [CT]) == 0
    wait_until(lambda: "study.received" in cli("events", *where).stdout, "nothing is told")
    result = cli("events", *where, "-o", "json", "--type", "study.received")
    (event,) = map(json.loads, result.stdout.splitlines())
    assert (event["specversion"], event["type"]) == ("1.0", "dev.dicomroute.study.received.v1")
    cursor = result.stderr.split("--after ")[1].strip()
    assert "callingAETitle=CT1" in cli("events", *where, "-o", "wide").stdout
    following = subprocess.Popen(
        [DICOMROUTE, "events", *where, "--follow", "--after", cursor, "--type", "study.received", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert storescu(running.port, [MR]) == 0
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["subject"] != event["subject"]
    finally:
        following.kill()
        following.wait()
    late = cli("events", *where, "--after", "00-1")
    assert (late.returncode, "no longer kept" in late.stderr) == (1, True)
