"""Who was refused: a bounded table of callers, for the person who looks for the one that should have come in."""

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import Final

_CALLERS: Final = 200
_CALLERS_OF_AN_ADDRESS: Final = 50
"""One that tries titles one after the other pushes nobody else out."""


@dataclass(frozen=True, slots=True)
class RefusedCaller:
    """A caller and why it was refused. Titles are as they came, whatever bytes that were; None when none came."""

    calling_ae_title: str | None
    called_ae_title: str | None
    address: str
    listener: str
    reason: str
    abstract_syntaxes: tuple[str, ...] = ()
    """Some of those that it proposed, where none was accepted; as they came, too."""
    certificate_sha256: str = ""
    """The digest of the certificate that it showed, where that is why it was refused."""


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often a caller was refused, and when; times in seconds since 1970."""

    caller: RefusedCaller
    count: int
    first_time: float
    last_time: float


class RefusedCallers:
    """The callers that were refused last; for a further one the one that was seen longest ago goes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[RefusedCaller, RefusalCount] = OrderedDict()
        self._of_address: Counter[str] = Counter()

    def note(self, caller: RefusedCaller) -> None:
        """Note that a caller was refused at this moment."""
        now = time.time()
        with self._lock:
            known = self._seen.get(caller)
            if known is not None:
                self._seen[caller] = replace(known, count=known.count + 1, last_time=now)
                self._seen.move_to_end(caller)
                return
            self._make_room(caller.address)
            self._seen[caller] = RefusalCount(caller, 1, now, now)
            self._of_address[caller.address] += 1

    def latest(self) -> list[RefusalCount]:
        """Return the callers, the one that was refused last first."""
        with self._lock:
            return list(reversed(self._seen.values()))

    def _make_room(self, address: str) -> None:
        if self._of_address[address] >= _CALLERS_OF_AN_ADDRESS:
            oldest = next(one for one in self._seen if one.address == address)
        elif len(self._seen) >= _CALLERS:
            oldest = next(iter(self._seen))
        else:
            return
        del self._seen[oldest]
        self._of_address[oldest.address] -= 1
        if not self._of_address[oldest.address]:
            del self._of_address[oldest.address]
