"""Senders that go on whatever becomes of the gateway: what is not acknowledged is sent again."""

import random
import threading
import time

from pdus import data_set, element, uid_value
from peer import Answered, Peer
from sink import digest


class Sender:
    """A thread that sends until it is stopped. Some instances come again, equal or as another version."""

    def __init__(
        self, port: int, number: int, *, most_bytes: int = 200_000, pause: float = 0, own_studies: bool = False
    ) -> None:
        """`own_studies`: each instance is a study by itself, called as it with .1 behind."""
        self.acknowledged: list[tuple[str, str]] = []
        """SOP Instance UID and digest of every data set that was answered with success, in order."""
        self.sent: set[tuple[str, str]] = set()
        self.failure: Exception | None = None
        self._port = port
        self._most_bytes = most_bytes
        self._pause = pause
        self._own_studies = own_studies
        self._number = number
        self._random = random.Random(number)
        self._count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender-{number}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the instance under way."""
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            uid, data = self._next()
            while not self._stopped.is_set():
                try:
                    peer = Peer(self._port).associated()
                except (OSError, AssertionError):
                    time.sleep(0.01)  # it is being started again
                    continue
                while not self._stopped.is_set() and self._store(peer, uid, data):
                    uid, data = self._next()
                peer.close()
        except Exception as error:
            self.failure = error

    def _store(self, peer: Peer, uid: str, data: bytes) -> bool:
        """Return whether the instance was acknowledged."""
        self.sent.add((uid, digest(data)))
        try:
            answered = peer.store(data, uid) == Answered(0)
        except (OSError, AssertionError):
            return False
        peer.instances.clear()  # or hours of what was sent would be kept
        time.sleep(self._pause)
        if answered:
            self.acknowledged.append((uid, digest(data)))
        return answered

    def _next(self) -> tuple[str, bytes]:
        """Return a new instance, now and then another version of the last one, or the last one again."""
        draw = self._random.random()
        if draw > 0.1 or not self._count:
            self._count += 1
            long = draw > 0.99 and self._most_bytes > 100_000
            size = 2_500_000 if long else self._random.randrange(100, self._most_bytes)
            self._last = size // 2 * 2
            self._version = 0
        elif draw > 0.05:
            self._version += 1
        uid = f"1.2.826.0.1.3680043.10.98.{self._number}.{self._count}"
        pixels = element(0x7FE00010, "OW", bytes((self._version,)) * self._last)
        study = [element(0x0020000D, "UI", uid_value(f"{uid}.1"))] if self._own_studies else []
        return uid, data_set(uid, *study, without=[0x7FE00010]) + pixels
