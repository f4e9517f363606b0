"""Whoever can reach the open admin port takes nothing away from health probes, from modalities or from the process."""

import contextlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateways import LoneGateway
from healthy import HealthyClient
from processes import wait_until
from routes import local_node, local_route, to

NOWHERE = "http://127.0.0.1:9/dicom-web"


@pytest.fixture
def gateway(tmp_path: Path, lone: Callable[..., LoneGateway]) -> LoneGateway:
    return lone(tmp_path, [local_node(), to(NOWHERE), local_route()])


def connected(gateway: LoneGateway) -> socket.socket:
    host, port = gateway.admin.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode()


def health(gateway: LoneGateway) -> float:
    """Ask /healthz as a kubelet does, by a connection of its own; return how long the answer took."""
    begin = time.monotonic()
    with connected(gateway) as connection:
        connection.sendall(request("/healthz"))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    return time.monotonic() - begin


def descriptors(gateway: LoneGateway) -> int:
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


def served_beside(gateway: LoneGateway, disturb: Callable[[], None], threads: int, seconds: float) -> list[float]:
    """Disturb with so many threads for a time; return how long /healthz took meanwhile."""
    ends = time.monotonic() + seconds

    def go_on() -> None:
        while time.monotonic() < ends:
            try:
                disturb()
            except OSError:
                time.sleep(0.01)  # sent away, as it should be

    waits = []
    with ThreadPoolExecutor(threads) as pool, HealthyClient(gateway.port) as healthy:
        for _ in range(threads):
            pool.submit(go_on)
        while time.monotonic() < ends - 1:
            waits.append(health(gateway))
            time.sleep(0.1)
    assert healthy.faults == []
    return waits


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
def test_300_connections_that_ask_without_end_keep_nobody_waiting(gateway: LoneGateway, path: str) -> None:
    kept = threading.local()

    def ask() -> None:
        if not hasattr(kept, "connection"):
            kept.connection = connected(gateway)
        try:
            kept.connection.sendall(request(path))
            if not kept.connection.recv(1 << 20):
                raise ConnectionResetError
        except OSError:
            del kept.connection
            raise

    assert max(served_beside(gateway, ask, 300, 3)) < 2


def test_requests_by_the_megabyte_keep_nobody_waiting(gateway: LoneGateway) -> None:
    many = request("/readyz") * 10_000

    def ask() -> None:
        with connected(gateway) as connection:
            connection.settimeout(0.5)
            connection.sendall(many)
            begin = time.monotonic()
            while time.monotonic() < begin + 0.5 and connection.recv(1 << 20):
                pass

    assert max(served_beside(gateway, ask, 20, 3)) < 2


def test_a_storm_of_connections_keeps_nobody_waiting(gateway: LoneGateway) -> None:
    assert max(served_beside(gateway, lambda: connected(gateway).close(), 20, 3)) < 2


def test_requests_that_are_never_ended_are_closed_and_cost_modalities_nothing(gateway: LoneGateway) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    before = descriptors(gateway)
    half_sent: list[socket.socket] = []
    with HealthyClient(gateway.port) as healthy:
        for number in range(1500):
            half_sent.append(connected(gateway))
            half_sent[-1].sendall(request("/healthz")[: number % 40])
        assert descriptors(gateway) < before + 600
        assert health(gateway) < 2
        drip = connected(gateway)  # a byte now and then makes no request whole
        drip.sendall(request("/healthz")[:-4])
        for _ in range(12):
            time.sleep(0.6)
            try:
                drip.sendall(b"x")
            except OSError:
                break
        wait_until(lambda: descriptors(gateway) <= before + 20, "half-sent requests stay open")
    assert (healthy.faults, healthy.waits) == ([], [])
    with contextlib.suppress(ConnectionError):
        assert drip.recv(1) == b""
    for one in (drip, *half_sent):
        one.close()


def test_the_description_of_the_api_is_on_the_port_of_the_api_alone(gateway: LoneGateway) -> None:
    with connected(gateway) as connection:
        connection.sendall(request("/openapi.json"))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 "), "one port serves both here"


def test_requests_without_end_on_one_connection_are_kept_nowhere(gateway: LoneGateway) -> None:
    """What the server does not take is not read: it would be copied with each answer."""

    def memory() -> int:
        text = Path(f"/proc/{gateway.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def answers_of(connection: socket.socket, ends: float) -> int:
        count = 0
        while time.monotonic() < ends:
            count += connection.recv(1 << 16).count(b"HTTP/1.1")
        return count

    def flood(connection: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(data)

    many = b"GET /x HTTP/1.1\r\nHost:a\r\n\r\n" * 20_000
    health(gateway)
    before = memory()
    with connected(gateway) as connection:
        threading.Thread(target=flood, args=(connection, many), daemon=True).start()
        assert answers_of(connection, time.monotonic() + 4) > 500
        assert memory() - before < 4096
        assert health(gateway) < 2


def test_what_has_the_token_is_served_whatever_its_length(gateway: LoneGateway) -> None:
    body = json.dumps({"instances": list(range(1, 10_000))}).encode()
    head = "POST /api/v1/queue/retry HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer an-example-token\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    begin = time.monotonic()
    with connected(gateway) as connection:
        connection.sendall(head.encode() + body)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - begin < 5
