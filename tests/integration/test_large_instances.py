"""Large instances over a slow line, with all defaults: they arrive whole, at the line's speed, in little memory.

The line is a receiver that takes bytes no faster than a bucket of tokens lets it. What crosses it and how fast is
200 MB at 1 Gbit/s; 2 GB at 50 Mbit/s, more than five minutes, is run by hand:

    DICOMROUTE_LARGE_BYTES=2000000000 DICOMROUTE_LINE_BITS_PER_SECOND=50000000 pytest -s FILE
"""

import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive import uid_and_data_set
from gateways import LoneGateway
from manifests import Json, route, target
from pdus import COMMAND, DATA, LAST, command_set, data_set, p_data, pdv, store_values
from peer import Answered, Peer, new_uid
from processes import wait_until
from routes import local_node
from stow_server import uid_element

LARGE_BYTES = int(os.environ.get("DICOMROUTE_LARGE_BYTES", "200000000"))
LINE_BYTES_PER_SECOND = int(os.environ.get("DICOMROUTE_LINE_BITS_PER_SECOND", "1000000000")) / 8
MOST_GROWTH_BYTES = 64 << 20
_FRAGMENT_BYTES = 65_536
_BLOCK_BYTES = 256 << 10
_PATTERN = bytes(range(256)) * 256


class SlowLine:
    """A STOW-RS server for one instance a request, behind a line of so many bytes a second in all."""

    def __init__(self, bytes_per_second: float) -> None:
        self.digests: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        """How long the bytes of each instance were on the line."""
        self._rate = bytes_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        # What the system buffers is not on the line yet.
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/dicom-web"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while self._answer_one(connection):
                    pass
        except OSError:
            pass  # the gateway has ended

    def _answer_one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(_BLOCK_BYTES)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(b"GET "):  # the gateway tests its target before anything is owed to it
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        (length,) = (int(found) for found in re.findall(rb"(?i)content-length: (\d+)", head))
        begun = time.monotonic()
        blocks = self._blocks(connection, body, length)
        part = b""
        while part.count(b"\r\n\r\n") < 1 or len(part) < 4096 <= length:
            part += next(blocks)
        part_head, _, file = part.partition(b"\r\n\r\n")
        uid, first = uid_and_data_set(file)
        (left,) = (int(found) for found in re.findall(rb"(?i)content-length: (\d+)", part_head))
        left -= len(file) - len(first)
        hashed = hashlib.sha256()
        for block in self._all(first, blocks):
            hashed.update(block[:left])
            left -= len(block[:left])
        if left:
            return False
        self.seconds[uid] = time.monotonic() - begun
        self.digests[uid] = hashed.hexdigest()
        answer = json.dumps({"00081199": {"vr": "SQ", "Value": [dict([uid_element("00081155", uid)])]}})
        headers = f"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: {len(answer)}\r\n\r\n"
        connection.sendall((headers + answer).encode())
        return True

    @staticmethod
    def _all(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield first
        yield from blocks

    def _blocks(self, connection: socket.socket, first: bytes, length: int) -> Iterator[bytes]:
        """Yield a body as its bytes come over the line."""
        self._let_pass(len(first))
        yield first
        left = length - len(first)
        while left:
            block = connection.recv(min(left, _BLOCK_BYTES))
            if not block:
                return
            self._let_pass(len(block))
            left -= len(block)
            yield block

    def _let_pass(self, count: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait = self._free_at - now
        if wait > 0.01:
            time.sleep(wait)


class Memory:
    """The memory of a process as it is sampled in the background: PSS in bytes, which counts no page cache."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/smaps_rollup")
        self.begin = self.most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> int:
        """Return by how much it has grown at most."""
        self._done.set()
        self._thread.join()
        return self.most - self.begin

    def _sample(self) -> None:
        while not self._done.wait(0.05):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        lines = self._file.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def pieces(uid: str, length: int) -> Iterator[bytes]:
    """Yield a data set with so many bytes of pixels."""
    yield data_set(uid, without=[0x7FE00010])
    yield b"\xe0\x7f\x10\x00OW\0\0" + length.to_bytes(4, "little")
    for start in range(0, length, len(_PATTERN)):
        yield _PATTERN[: length - start]


def store(peer: Peer, uid: str, length: int) -> str:
    """Store an instance that is never held as a whole; return the digest of its data set."""
    hashed = hashlib.sha256()
    peer.send(p_data(pdv(1, COMMAND | LAST, command_set(store_values(uid)))))
    for piece in pieces(uid, length):
        hashed.update(piece)
        for start in range(0, len(piece), _FRAGMENT_BYTES):
            peer.send(p_data(pdv(1, DATA, piece[start : start + _FRAGMENT_BYTES])))
    peer.send(p_data(pdv(1, DATA | LAST, b"")))
    assert peer.answer() == Answered(0)
    return hashed.hexdigest()


@pytest.fixture
def line() -> Iterator[SlowLine]:
    one = SlowLine(LINE_BYTES_PER_SECOND)
    yield one
    one.close()


def documents(line: SlowLine) -> list[Json]:
    """Return the manifests of a route with all defaults."""
    return [local_node(), target(url=line.url), route()]


@pytest.mark.timeout(3600)
def test_a_large_instance_crosses_a_slow_line_whole_and_in_little_memory(
    lone: Callable[..., LoneGateway], tmp_path: Path, line: SlowLine
) -> None:
    gateway = lone(tmp_path, documents(line))
    peer = Peer(gateway.port, patience_seconds=600).associated()
    small, large = new_uid(), new_uid()
    sent = {small: store(peer, small, 1 << 20)}
    gateway.wait_for(owed=0, deliveredTotal=1)
    memory = Memory(gateway.process.pid)
    begun = time.monotonic()
    sent[large] = store(peer, large, LARGE_BYTES)
    received_seconds = time.monotonic() - begun
    least = LARGE_BYTES / LINE_BYTES_PER_SECOND
    wait_until(lambda: gateway.status()["instances"]["owed"] == 0, gateway.process.tail, 60 + 3 * least)
    grown = memory.stop()
    print(
        f"{LARGE_BYTES} bytes: received in {received_seconds:.1f} s, {line.seconds[large]:.1f} s on a line that takes "
        f"{least:.1f} s; {grown / 2**20:.1f} MiB more memory"
    )
    assert line.digests == sent
    assert line.seconds[large] >= 0.9 * least, "the line is not as slow as it says"
    (item,) = gateway.get(f"/api/v1/ledger?sopInstanceUID={large}")["items"]
    assert item["deliveries"][0]["attempts"] == 1, "a slow line is no fault"
    assert grown < MOST_GROWTH_BYTES
    assert gateway.stop() == 0
