"""How fast the spool fills, over the last ten minutes: a burst of a minute is no trend. Pure."""

from collections import deque
from typing import Final

_EVERY_SECONDS: Final = 30.0
_SAMPLES: Final = 21
_LEAST_SAMPLES: Final = 11


class FillRate:
    """Takes levels in bytes with their times, and says by how much they grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def add(self, now: float, used_bytes: int) -> None:
        """Take a level; those that come sooner than half a minute after the last are passed over."""
        if not self._samples or now - self._samples[-1][0] >= _EVERY_SECONDS:
            self._samples.append((now, used_bytes))

    @property
    def bytes_per_second(self) -> int:
        """The growth; 0 when it is not known yet, negative when the spool drains."""
        if len(self._samples) < _LEAST_SAMPLES:
            return 0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return round((after - before) / (last - first))
