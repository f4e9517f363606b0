"""The data set of an instance on its way out by C-STORE: read from the spool, as fast as a throttle lets it."""

import threading
import time
from collections.abc import Iterator

from dicomroute_gateway.dimse.failures import Interrupted, SourceFailed
from dicomroute_gateway.dimse.source import FileSource
from dicomroute_gateway.spool.content import StoredFile, Unreadable
from dicomroute_gateway.throttle import Throttle


class Outgoing:
    """A DataSetSource for one thread: the last `length` bytes of a file. `closing` ends it where it waits."""

    def __init__(self, file: StoredFile, length: int, throttle: Throttle, closing: threading.Event) -> None:
        self.length = length
        self.fault: Unreadable | None = None
        """Why the spool could not give it."""
        self.ended = time.monotonic()
        """When its last byte was given away."""
        self._head = file.length - length
        self._file = file
        self._throttle = throttle
        self._closing = closing

    def blocks(self, buffer: memoryview) -> Iterator[memoryview]:
        """Yield the bytes. Raises SourceFailed, Interrupted."""
        for block in self._read(buffer):
            done = 0
            while done < len(block):
                size, seconds = self._throttle.piece(len(block) - done)
                if seconds and self._closing.wait(seconds):
                    raise Interrupted
                yield block[done : done + size]
                done += size
        self.ended = time.monotonic()

    def _read(self, buffer: memoryview) -> Iterator[memoryview]:
        if self._file.seal is None:
            with self._file.being_read():
                yield from FileSource(self._file.path, self._head, self.length).blocks(buffer)
            return
        try:
            with self._file.open() as content:
                for done in range(0, self.length, len(buffer)):
                    count = min(len(buffer), self.length - done)
                    yield memoryview(content.read_at(self._head + done, count))
        except Unreadable as error:
            self.fault = error
            raise SourceFailed(str(error)) from error
