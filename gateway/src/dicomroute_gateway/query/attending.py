"""A retrieval under way, as the thread of its association sees it: the peer is told, and heard."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.services import Reply, Responder

from .archive import Cancelled
from .tally import Tally

IN_HAND_SECONDS: Final = 10.0
"""How long the sub-operation under way may take after a C-CANCEL before it is broken off."""


@dataclass
class Attended:
    """What the thread of the association keeps of a retrieval under way."""

    responder: Responder
    tally: Tally
    interval_seconds: float
    ended: threading.Event = field(default_factory=threading.Event)
    is_cancelled: bool = False
    """Whether the peer wants no more of it."""
    is_closing: bool = False
    """Whether the gateway shuts down meanwhile."""
    _ended_time: float = 0.0
    _told_time: float = 0.0

    def attend(self, closing: threading.Event) -> None:
        """Hear the peer, and tell it how things stand when it is time. Raises PeerGone, PeerStalled."""
        now = time.monotonic()
        if not self.ended.is_set():
            self.is_cancelled, self.is_closing = self.responder.is_cancelled(), closing.is_set()
            if self.is_cancelled or self.is_closing:
                self._ended_time = now
                self.ended.set()
        if now - self._told_time >= self.interval_seconds:
            self.responder.respond(Reply(Status.PENDING, counts=self.tally.pending()))
            self._told_time = now

    @property
    def is_overdue(self) -> bool:
        """Whether what was under way when it was to end takes too long."""
        return self.ended.is_set() and time.monotonic() - self._ended_time > IN_HAND_SECONDS

    def check(self) -> None:
        """Raise what ends the work."""
        if self.ended.is_set():
            raise Cancelled
