"""A healthy client that goes on beside others: association, C-ECHO, C-STORE, release, again and again."""

import threading
import time
from types import TracebackType

from peer import Accepted, Answer, Answered, Instance, Peer, Released

_LIMIT_SECONDS = 1.0


class HealthyClient:
    """Goes on for as long as the block lasts, and once more behind it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.faults: list[str] = []
        """What went wrong."""
        self.waits: list[float] = []
        """How many seconds it took where that was more than one."""
        self.instances: list[Instance] = []

    def __enter__(self) -> "HealthyClient":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._round("afterwards")

    def _go_on(self) -> None:
        while True:
            self._round("meanwhile")
            if self._done.wait(0.05):
                return

    def _round(self, when: str) -> None:
        begin = time.monotonic()
        try:
            answers = self._answers()
        except (OSError, AssertionError) as error:
            self.faults.append(f"{when}: {error or type(error).__name__}")
            return
        seconds = time.monotonic() - begin
        if seconds > _LIMIT_SECONDS:
            self.waits.append(seconds)
        if answers != [Accepted(), Answered(0), Answered(0), Released()]:
            self.faults.append(f"{when}: {', '.join(map(str, answers))}")

    def _answers(self) -> list[Answer]:
        peer = Peer(self._port)
        try:
            answers = [peer.associate()]
            if answers == [Accepted()]:
                answers += [peer.echo(), peer.store_one(), peer.release()]
            self.instances += peer.instances
            return answers
        finally:
            peer.close()
