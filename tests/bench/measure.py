"""Measures one system in one scenario: what was acknowledged, how fast, and what it cost.

Every figure is of instances that the system has afterwards, and its destination where it delivers; one that has fewer
than it acknowledged raises Lost.
"""

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import instances
import machine
from destinations import CT, IMPLICIT_VR, Arrived, Destination
from sender import Association, Job, Message
from servers import Gateway, Server, StoreScu
from template import Template, uid

Sample = dict[str, Any]
PROBE = 20
LOOK_SECONDS = 0.1
STALL_SECONDS = 240
IDLE_SECONDS = 10
BEGUN_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01"
"""The head of a record with a ClientHello whose rest never comes."""
_TURNS = 2
STOCK_WORDS = ("storescu", "-v", "-aet", "BENCHSENDER", "-aec", "BENCH", "127.0.0.1")


class Lost(Exception):
    """A system does not have what it acknowledged, or did not acknowledge or deliver what it should."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Where a server speaks TLS, and the file with the authority of its certificate."""

    port: int
    authority: Path


class Senders:
    """Processes that send, one an association; each says when it is ready, begins when told to, and says what came."""

    def __init__(self, folder: Path, commands: Sequence[Sequence[str]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "senders.log").open("ab")
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0)
            for command in commands
        ]

    def answers(self) -> list[dict[str, Any]]:
        """Return the next line of each."""
        lines = [process.stdout.readline() for process in self._processes if process.stdout]
        if not all(lines):
            raise Lost(f"a sender has failed: {Path(self._log.name).read_text()[-500:]}")
        return [json.loads(line) for line in lines]

    def go_on(self) -> None:
        for process in self._processes:
            assert process.stdin
            process.stdin.write(b"\n")

    def close(self) -> None:
        """Wait for the end of each; what does not end is ended."""
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


def stream(
    server: Server,
    folder: Path,
    template: Template,
    associations: int,
    seconds: float,
    most: int,
    *,
    warm_up: int = 1,
    other_services: bool = False,
    tls: Tls | None = None,
    first: int = 1,
    already: int = 0,
    destination: Destination | None = None,
    a_study_each: bool = False,
    least_bytes: int = 0,
) -> Sample:
    """Send with the client of this benchmark, each association as fast as it is answered.

    `first` numbers the associations, and with them the UIDs; `already` is what the system has from before. With a
    destination the time ends when that has everything, and so does what the system computes; `least_bytes` is how much
    arrives of an instance, if that is less than what is sent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = str(template.write(folder / "template.json"))
    port, authority = (tls.port, str(tls.authority)) if tls else (server.port, "")
    jobs = [
        Job(port, file, number, seconds, max(1, most // associations), warm_up, other_services, authority, a_study_each)
        for number in range(first, first + associations)
    ]
    warm = already + associations * warm_up
    idle = arrived = Arrived()
    senders = Senders(folder, [_sender(folder, job) for job in jobs])
    try:
        ready = senders.answers()
        if destination:
            idle = wait_for(destination, warm)
        before = machine.cpu_seconds(server.roots)
        senders.go_on()
        results = senders.answers()
        acknowledged = sum(one["acknowledged"] for one in results)
        used = machine.cpu_seconds(server.roots) - before
        senders.go_on()
        if destination:
            arrived = wait_for(destination, warm + acknowledged, least_bytes or template.length)
            used = machine.cpu_seconds(server.roots) - before
    finally:
        senders.close()
    check_count(server, warm + acknowledged)
    began = min(one["began"] for one in results)
    receiving = max(one["ended"] for one in results) - began
    elapsed = arrived.last - began if destination else receiving
    latencies = sorted(latency for one in results for latency in one["latencies_ms"])
    tail = {"p99_ms": latencies[len(latencies) * 99 // 100]} if len(latencies) >= 100 else {}
    delivered = {"received_rate": round(acknowledged / receiving, 1), **_cost(idle, arrived)} if destination else {}
    return {
        **rate(acknowledged, elapsed, template),
        "p50_ms": latencies[len(latencies) // 2],
        **tail,
        "server_cpu_ms": round(1000 * used / acknowledged, 3),
        "client_cpu_ms": round(1000 * sum(one["cpu_seconds"] for one in results) / acknowledged, 3),
        "max_pdu_bytes": ready[0]["max_pdu_bytes"],
        **delivered,
    }


def by_turns(
    server: Server,
    folder: Path,
    template: Template,
    associations: int,
    seconds: float,
    most: int,
    *,
    other_services: bool = False,
    tls: Tls | None = None,
) -> Sample:
    """Send with the other services proposed, or over TLS, and without for `plain_rate`, by turns to one server.

    What is looked for is smaller than what two runs of the same differ by.
    """
    turns: dict[bool, list[Sample]] = {True: [], False: []}
    for number, is_special in enumerate((True, False, False, True) * _TURNS):
        turns[is_special].append(
            stream(
                server,
                folder,
                template,
                associations,
                seconds / (2 * _TURNS),
                most,
                other_services=other_services and is_special,
                tls=tls if is_special else None,
                first=1 + number * associations,
                already=server.count(),
            )
        )
    plain, sample = turns[False], turns[True]
    return {
        **rate(sum(one["instances"] for one in sample), sum(one["seconds"] for one in sample), template),
        **{
            key: round(statistics.median(one[key] for one in sample), 3)
            for key in ("p50_ms", "server_cpu_ms", "client_cpu_ms")
        },
        "plain_cpu_ms": round(statistics.median(one["server_cpu_ms"] for one in plain), 3),
        "plain_rate": round(sum(one["instances"] for one in plain) / sum(one["seconds"] for one in plain), 1),
    }


def _sender(folder: Path, job: Job) -> Sequence[str]:
    file = folder / f"job-{job.number}.json"
    file.write_text(json.dumps(asdict(job)))
    return [sys.executable, str(Path(__file__).parent / "sender.py"), str(file)]


def backlog(gateway: Gateway, folder: Path, template: Template, count: int, destination: Destination) -> Sample:
    """Spool so many instances; return how fast they are delivered once deliveries are no longer held."""
    gateway.turn("HoldDeliveries")
    filled = stream(gateway, folder, template, 8, 1e9, count, warm_up=0)
    idle, before = destination.arrived(), machine.cpu_seconds(gateway.roots)
    gateway.turn("Running")
    began = time.monotonic()
    arrived = wait_for(destination, filled["instances"], template.length)
    used, elapsed = machine.cpu_seconds(gateway.roots) - before, arrived.last - began
    return {
        **rate(filled["instances"], elapsed, template),
        "server_cpu_ms": round(1000 * used / filled["instances"], 3),
        "received_rate": filled["rate"],
        **_cost(idle, arrived),
    }


def send_files(
    scu: StoreScu, folder: Path, template: Template, seconds: float, most: int, destination: Destination
) -> Sample:
    """Let a program send the files of a folder, in one association."""
    files = folder / "files"
    instances.files(files, template, most)
    senders = Senders(folder, [[*scu.command, str(files), str(seconds)]])
    try:
        senders.answers()
        idle = destination.arrived()
        senders.go_on()
        (result,) = senders.answers()
        senders.go_on()
        arrived = wait_for(destination, result["acknowledged"], template.length)
    finally:
        senders.close()
    acknowledged, elapsed = result["acknowledged"], arrived.last - result["began"]
    return {
        **rate(acknowledged, elapsed, template),
        "server_cpu_ms": round(1000 * result["cpu_seconds"] / acknowledged, 3),
        **_cost(idle, arrived),
    }


def wait_for(destination: Destination, instances: int, least_bytes: int = 0) -> Arrived:
    """Return what a destination has once that is so many instances, none shorter than `least_bytes` on average.

    Raises Lost when it has others, or no more come.
    """
    arrived, progress = destination.arrived(), time.monotonic()
    while arrived.instances < instances:
        if time.monotonic() - progress > STALL_SECONDS:
            raise Lost(f"{instances} instances were to be delivered, the destination has {arrived.instances}")
        time.sleep(LOOK_SECONDS)
        before, arrived = arrived, destination.arrived()
        if arrived.instances > before.instances:
            progress = time.monotonic()
    if arrived.instances > instances or arrived.file_bytes < instances * least_bytes:
        raise Lost(f"{instances} were to be delivered, the destination has {arrived}")
    return arrived


def rate(instances: int, seconds: float, template: Template) -> Sample:
    return {
        "instances": instances,
        "seconds": round(seconds, 3),
        "rate": round(instances / seconds, 1),
        "megabytes_per_second": round(instances * template.length / seconds / 1e6, 1),
    }


def _cost(idle: Arrived, arrived: Arrived) -> Sample:
    """Return what a destination computes for an instance, and how many it is given in a request."""
    instances, requests = arrived.instances - idle.instances, arrived.requests - idle.requests
    return {
        "destination_cpu_ms": round(1000 * (arrived.cpu_seconds - idle.cpu_seconds) / instances, 3),
        "instances_a_request": round(instances / requests, 2),
    }


def stock_client(server: Server, files: Sequence[Path], seconds: float) -> Sample:
    """Send with DCMTK's storescu as it comes, in one association; a first, short one says how many files to send."""
    probe = _storescu(server.port, files[:PROBE])
    count = min(len(files) - PROBE, max(PROBE, int(probe * seconds)))
    before = machine.cpu_seconds(server.roots)
    rate = _storescu(server.port, files[PROBE : PROBE + count])
    used = machine.cpu_seconds(server.roots) - before
    check_count(server, PROBE + count)
    size = files[0].stat().st_size
    return {
        "instances": count,
        "seconds": round(count / rate, 3),
        "rate": round(rate, 1),
        "megabytes_per_second": round(rate * size / 1e6, 2),
        "server_cpu_ms": round(1000 * used / count, 3),
    }


def _storescu(port: int, files: Sequence[Path]) -> float:
    """Return instances a second between the first and the last answer: the start of the program is not counted."""
    command = [*STOCK_WORDS, str(port), *map(str, files)]
    times = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(b"I: Received Store Response (Success)"):
                times.append(time.monotonic())
    if process.returncode or len(times) != len(files):
        raise Lost(f"storescu had {len(times)} of {len(files)} instances acknowledged, and ended {process.returncode}")
    return (len(times) - 1) / (times[-1] - times[0])


def check_count(server: Server, acknowledged: int) -> None:
    """Raise Lost unless the system has exactly what it acknowledged."""
    have = server.count()
    if have != acknowledged:
        raise Lost(f"{acknowledged} instances were acknowledged, the system has {have}")


def settled_bytes(server: Server) -> int:
    """Return the memory of a system a second after what was asked of it."""
    time.sleep(1)
    return machine.pss_bytes(server.roots)


def memory(server: Server, associations: int) -> Sample:
    """Return the memory of an idle system, and what so many idle associations add to it."""
    idle = settled_bytes(server)
    held = [Association(server.port, CT, IMPLICIT_VR) for _ in range(associations)]
    standing = settled_bytes(server)
    for one in held:
        one.release()
    return {"idle_bytes": idle, "associations": associations, "associations_bytes": standing - idle}


def crowded(
    server: Server, folder: Path, template: Template, seconds: float, most: int, connections: int, tls: Tls
) -> Sample:
    """Send over TLS beside so many connections that say nothing, or begin a handshake and never go on."""
    idle = settled_bytes(server)
    held = []
    with machine.MemoryPeak(server.roots) as peak:
        for number in range(connections):
            held.append(socket.create_connection(("127.0.0.1", tls.port), timeout=30))
            if number % 2:
                try:
                    held[-1].sendall(BEGUN_HANDSHAKE)
                except OSError:
                    pass  # it has made room for another one
        sample = stream(server, folder, template, 1, seconds, most, tls=tls)
    for one in held:
        one.close()
    return {**sample, "idle_bytes": idle, "increase_bytes": max(0, peak.most_bytes - idle)}


def passing(server: Server, folder: Path, template: Template) -> Sample:
    """Send one instance, and return what its passing adds to the system's memory."""
    idle = machine.pss_bytes(server.roots)
    with machine.MemoryPeak(server.roots) as peak:
        sample = stream(server, folder, template, 1, 1.0, 1, warm_up=0)
    return {**sample, "idle_bytes": idle, "increase_bytes": max(0, peak.most_bytes - idle)}


def restart(gateway: Gateway, folder: Path, template: Template, count: int) -> Sample:
    """Spool so many instances; return how long a start takes before that and after, until a C-STORE is acknowledged.

    At last commitment is asked for to all of them, and none can be committed to yet: `open` is a start with that.
    """
    sample: Sample = {"empty": _start_again(gateway, gateway.stop, template, 1001)}
    filled = stream(gateway, folder, template, 8, 1e9, count, warm_up=0, already=1)
    sample |= {"spooled": filled["instances"], "fill_rate": filled["rate"]}
    for number, (name, end) in enumerate((("stopped", gateway.stop), ("killed", gateway.end_as_power_failure)), 2):
        sample[name] = _start_again(gateway, end, template, 1000 + number)
        check_count(gateway, filled["instances"] + number)
    sample["killed"] |= _settled(gateway)
    references = [uid(one, 1000 + serial).decode() for one in range(1, 9) for serial in range(count // 8)]

    def end_with_commitments() -> None:
        gateway.stop()
        gateway.ask_for_commitment(template.sop_class_uid, references)

    sample["open"] = {"references": len(references), **_start_again(gateway, end_with_commitments, template, 1004)}
    sample["open"] |= _settled(gateway)
    if gateway.open_commitments() * gateway.REFERENCES_A_REQUEST < len(references):
        raise Lost(f"of {len(references)} references {gateway.open_commitments()} requests are open after a restart")
    return sample


def _settled(gateway: Gateway) -> Sample:
    """Return what a gateway uses of memory, and of a processor, a while after its start."""
    time.sleep(IDLE_SECONDS)
    used, began = machine.cpu_seconds(gateway.roots), time.monotonic()
    time.sleep(IDLE_SECONDS)
    share = (machine.cpu_seconds(gateway.roots) - used) / (time.monotonic() - began)
    return {"settled_bytes": machine.pss_bytes(gateway.roots), "idle_cpu_share": round(share, 4)}


def _start_again(gateway: Gateway, end: Callable[[], None], template: Template, number: int) -> Sample:
    """Return how long it takes from the command, and from the start of the gateway that it starts."""
    end()
    began = time.monotonic()
    gateway.start()
    association = Association(gateway.port, template.sop_class_uid, template.transfer_syntax_uid)
    message = Message(template, association.max_pdu_bytes, number)
    message.next(0)
    association.store(message)
    seconds, own = time.monotonic() - began, machine.seconds_since_start(*gateway.roots)
    association.release()
    return {"seconds": round(seconds, 3), "gateway_seconds": round(own, 2)}
