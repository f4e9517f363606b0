"""Who was refused, gathered: a caller at once and then at most hourly, and when many come, all of them as one. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from dicomroute_client.documents.events import CALLER_REFUSED, CallerRefused
from dicomroute_gateway.dimse.refused import RefusalCount, RefusedCaller

from .told import Teller, Told, title

_AGAIN_SECONDS: Final = 3600.0
_ONE_BY_ONE: Final = 20
"""So many are told one by one within `_AGAIN_SECONDS`; more of them are one event a listener and reason."""
_GATHERED_SECONDS: Final = 300.0


class Refusals:
    """What was told of callers, since the process started: so long they are counted."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._told: dict[RefusedCaller, tuple[int, float]] = {}
        """How often each was refused when it was told last, and when that was."""
        self._one_by_one: list[float] = []
        self._gathered_at = float("-inf")

    def look(self, latest: Sequence[RefusalCount], now: float) -> list[Told]:
        """Return what is to be told at a moment, in seconds since 1970, of the callers that were refused last."""
        present = {one.caller for one in latest}
        self._told = {caller: known for caller, known in self._told.items() if caller in present}
        self._one_by_one = [time for time in self._one_by_one if now - time < _AGAIN_SECONDS]
        told: list[Told] = []
        rest: dict[tuple[str, str], list[RefusalCount]] = defaultdict(list)
        for one in latest:
            count, time = self._told.get(one.caller, (0, float("-inf")))
            if one.count <= count or now - time < _AGAIN_SECONDS:
                continue
            if len(self._one_by_one) < _ONE_BY_ONE:
                self._one_by_one.append(now)
                told.append(self._caller(one, one.count - count, now))
                self._told[one.caller] = (one.count, now)
            else:
                rest[one.caller.listener, one.caller.reason].append(one)
        if rest and now - self._gathered_at >= _GATHERED_SECONDS:
            self._gathered_at = now
            for (listener, reason), some in rest.items():
                told.append(self._gathered(listener, reason, some, now))
                self._told.update({one.caller: (one.count, now) for one in some})
        return told

    def _caller(self, one: RefusalCount, count: int, now: float) -> Told:
        caller = one.caller
        data = CallerRefused(
            calling_ae_title=title(caller.calling_ae_title),
            called_ae_title=title(caller.called_ae_title),
            address=caller.address,
            listener=caller.listener,
            reason=caller.reason,
            count=count,
        )
        return self._teller.tell(CALLER_REFUSED, data, caller.listener, one.last_time, *_identity(caller), now)

    def _gathered(self, listener: str, reason: str, some: Sequence[RefusalCount], now: float) -> Told:
        count = sum(one.count - self._told.get(one.caller, (0, 0.0))[0] for one in some)
        data = CallerRefused(
            calling_ae_title=None,
            called_ae_title=None,
            address="",
            listener=listener,
            reason=reason,
            count=count,
            callers=len(some),
        )
        return self._teller.tell(CALLER_REFUSED, data, listener, now, listener, reason, now)


def _identity(caller: RefusedCaller) -> tuple[object, ...]:
    return (
        caller.calling_ae_title,
        caller.called_ae_title,
        caller.address,
        caller.listener,
        caller.reason,
        caller.certificate_sha256,
    )
