"""C-STORE to a DicomNode: a batch on an association, an outcome for each instance (PS3.4 annex B, PS3.7 9.1.1)."""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from dicomroute_gateway.configuration.destinations import DicomNodeDestination
from dicomroute_gateway.deliver.attempt import is_our_own
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.preparation import unprepared
from dicomroute_gateway.deliver.transport import BatchLimits, Item, Sent
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dimse.failures import AFTER_REQUEST, ContextRefused, RequestorFailure, SourceFailed
from dicomroute_gateway.dimse.propose import MOST_CONTEXTS, Syntaxes
from dicomroute_gateway.dimse.requestor import StoreInstance
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.node.associations import Associations, Forms, Kept
from dicomroute_gateway.node.calling import peer_of
from dicomroute_gateway.node.outgoing import Outgoing
from dicomroute_gateway.node.threads import in_thread
from dicomroute_gateway.prepare.parcel import Parcel
from dicomroute_gateway.prepare.preparing import Preparing, other_forms
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.throttle import Throttle

from .store_status import StoreJudgement, of_failure, of_status

_TURN_SECONDS: Final = 0.25
"""How long a thread goes on before what it has done is written down, and others may have the association."""
_MOST_KINDS: Final = MOST_CONTEXTS // 3
"""How many kinds of instances travel together: an association has contexts for all of their forms, of three at most."""


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Answered:
    """What came of one instance, and how long the peer took once it had everything; None without an answer."""

    judgement: StoreJudgement
    seconds: float | None = None


class CStoreTransport:
    """Carries instances to a DicomNode. `node` returns it as it is configured at the moment, if it is."""

    limits = BatchLimits(lanes=2, most_lanes=4, batch_instances=100, most_batch_instances=100, batch_bytes=64 << 20)

    def __init__(
        self,
        destination: Destination,
        node: Callable[[], DicomNodeDestination | None],
        throttle: Throttle,
        preparing: Preparing,
        contexts: TlsContexts,
    ) -> None:
        self._destination = destination
        self._node = node
        self._throttle = throttle
        self._preparing = preparing
        self._associations = Associations(destination, self.limits.most_lanes, contexts)
        self._closing = threading.Event()

    async def send(self, items: Sequence[Item]) -> AsyncGenerator[Sent]:
        """Store `items` one after the other; what several responses say in a short time is one part.

        An instance that is not stored stands alone in its part. A failure of the association is that of the instance
        that was under way, and the next one goes by another association.
        """
        left, began = list(items), time.monotonic()
        while left:
            node = self._node()
            if node is None:
                yield Sent([AttemptOutcome(Verdict.RETRY, Reason.NO_SUCH_DESTINATION)] * len(left), "")
                return
            some = _of_few_kinds(left)
            try:
                kept = await self._associations.take(peer_of(node), map(_forms, some), began)
            except RequestorFailure as failure:
                judgement = of_failure(failure)
                yield Sent([judgement.outcome] * len(left), judgement.sentence)
                return
            try:
                answered = await in_thread(partial(self._turn, kept, some), f"store {self._destination}")
            except BaseException:
                self._associations.discard(kept)
                raise
            self._associations.give_back(kept)
            del left[: len(answered)]
            for part in _parts(answered):
                yield self._sent(part)

    async def close(self) -> None:
        """End the associations."""
        self._closing.set()
        await self._associations.close()

    def _turn(self, kept: Kept, items: Sequence[Item]) -> list[_Answered]:
        """Store as many of `items` as fit into a turn, up to the first that is not stored. In a thread.

        An association that has stored before and breaks before it had a whole request says nothing of the instance:
        peers end associations as they like. That instance is left for another one.
        """
        ends = time.monotonic() + _TURN_SECONDS
        done: list[_Answered] = []
        for item in items:
            try:
                parcel = self._as_taken(kept, item)
            except Exception as error:  # of ours too: what was stored before it is to be written down
                fault = unprepared(error)
                done.append(_Answered(StoreJudgement(fault.outcome, fault.sentence)))
                return done
            source = Outgoing(parcel.file, parcel.length, self._throttle, self._closing)
            instance = StoreInstance(parcel.sop_class_uid, parcel.sop_instance_uid, parcel.transfer_syntax_uid, source)
            try:
                response = kept.requestor.store(instance)
            except RequestorFailure as failure:
                if not kept.answered or not _is_ended_by_peer(failure):
                    done.append(_Answered(_of_failure(failure, source)))
                return done
            kept.answered += 1
            judgement = of_status(response.status)
            if judgement.outcome.verdict is Verdict.DUPLICATE and is_our_own(item.received, item.delivery):
                stored = AttemptOutcome(Verdict.DELIVERED, Reason.STORED_BEFORE, judgement.outcome.status)
                judgement = replace(judgement, outcome=stored)
            done.append(_Answered(judgement, time.monotonic() - source.ended))
            is_stored = judgement.outcome.verdict is Verdict.DELIVERED
            if not is_stored or not kept.requestor.is_open or time.monotonic() >= ends or self._closing.is_set():
                return done
        return done

    def _as_taken(self, kept: Kept, item: Item) -> Parcel:
        """Return an instance in the best form that the peer takes; as it is where it takes none.

        Raises TranscodingFailed, Unreadable; OSError when there is no room for another form.
        """
        taken = kept.accepted(_forms(item))
        syntax = item.parcel.transfer_syntax_uid if taken is None else taken.transfer_syntax
        return self._preparing.in_syntax(item.received, item.parcel, syntax)

    def _sent(self, part: Sequence[_Answered]) -> Sent:
        seconds = [one.seconds for one in part if one.seconds is not None]
        return Sent(
            [one.judgement.outcome for one in part],
            part[-1].judgement.sentence,
            answer_seconds=sum(seconds) / len(seconds) if seconds else None,
            answers=max(1, len(seconds)),
            most_lanes=self._associations.bound,
        )


def _parts(answered: Sequence[_Answered]) -> list[Sequence[_Answered]]:
    """Return what was stored, and apart from it a last one that was not."""
    stored = len(answered)
    if answered and answered[-1].judgement.outcome.verdict is not Verdict.DELIVERED:
        stored -= 1
    return [part for part in (answered[:stored], answered[stored:]) if part]


def _of_failure(failure: RequestorFailure, source: Outgoing) -> StoreJudgement:
    if source.fault is not None:
        return StoreJudgement(AttemptOutcome(Verdict.RETRY, source.fault.reason), str(source.fault))
    return of_failure(failure, began=True)


def _is_ended_by_peer(failure: RequestorFailure) -> bool:
    """Whether the association broke, by nobody's fault that is known, before the peer had a whole request."""
    return failure.reason in AFTER_REQUEST and not isinstance(failure, ContextRefused | SourceFailed)


def _forms(item: Item) -> Forms:
    syntax = item.parcel.transfer_syntax_uid
    return tuple(Syntaxes(item.parcel.sop_class_uid, one) for one in (syntax, *other_forms(syntax)))


def _of_few_kinds(items: Sequence[Item]) -> Sequence[Item]:
    """Return as many of the first items as one association can be proposed every form of."""
    kinds: set[Forms] = set()
    for index, item in enumerate(items):
        kinds.add(_forms(item))
        if len(kinds) > _MOST_KINDS:
            return items[:index]
    return items
