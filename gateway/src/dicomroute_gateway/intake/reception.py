"""The way of one instance into the spool, whatever brings it: head, rules, one commit, then the answer."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from dicomroute_gateway.configuration.rules import Unmatched
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.decide import STUDY_INSTANCE_UID, Decision, decide, uid_of
from dicomroute_gateway.rules.head import HeadError, RawElement
from dicomroute_gateway.spool.errors import SpoolFailed, SpoolFull, SpoolLocked, SpoolUncertain
from dicomroute_gateway.spool.incoming import Incoming
from dicomroute_gateway.spool.records import DeliveryState, Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.waiting import Waiter
from dicomroute_gateway.studies.tracker import Arriving, Tracker

from .arrival import Answer, Arrival, Result, Taking

_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018
_MODALITY: Final = 0x00080060
_SERIES_INSTANCE_UID: Final = 0x0020000E
_CHECK_BYTES: Final = 1 << 20
"""After how many bytes of an instance the room in the spool is looked at again."""
_CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
_UID: Final = re.compile(r"(?!.{65})[0-9]+(?:\.[0-9]+)*")

log = structlog.get_logger(__name__)


class Reception:
    """Receives instances for the listeners. `active` returns what is in force at the moment it is asked."""

    def __init__(
        self, spool: Spool, active: Callable[[], Active], measures: Measures, studies: Tracker | None = None
    ) -> None:
        """`studies` hears of what is being received where the configuration in force tracks studies."""
        self._spool = spool
        self._active = active
        self._measures = measures
        self._studies = studies

    def has_room(self) -> bool:
        """Return whether the spool takes instances, as far as its level says: a failed one answers for itself."""
        try:
            level = self._spool.level()
        except OSError:
            return True
        return level.used < level.watermark

    def open(self, arrival: Arrival) -> Taking:
        """Return what takes one instance; it refuses in its result, after the data set has passed."""
        if not _UID.fullmatch(arrival.sop_instance_uid):
            return _Refusal(Answer.INVALID_INSTANCE, "the SOP Instance UID is not a UID (PS3.5 9.1)")
        try:
            incoming = self._spool.begin(arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)
        except SpoolFull:
            return _Refusal(Answer.FULL, "the spool is above its high watermark")
        except SpoolLocked as error:
            log.error("spool.locked", error=str(error), association=arrival.sender.association)
            return _Refusal(Answer.CANNOT_KEEP, "the spool cannot encrypt it")
        except (SpoolFailed, OSError) as error:
            log.error("spool.unusable", error=str(error), association=arrival.sender.association)
            return _Refusal(Answer.CANNOT_KEEP, "the spool cannot take it")
        tracked = self._studies if self._active().configuration.tracks_studies else None
        arriving = tracked.arriving(arrival.transfer_syntax_uid) if tracked is not None else None
        return _IntoSpool(self._spool, self._active, arrival, incoming, self._measures, arriving)


class _Refusal:
    """Lets a data set pass and answers that it was not taken."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        self._result = Result(answer, sentence)

    def write(self, data: memoryview) -> None:
        """Let it pass."""

    def flush(self) -> None:
        """Nothing was kept."""

    def finish(self) -> Result:
        """Return why it was not taken."""
        return self._result

    def discard(self) -> None:
        """Nothing was kept."""


class _IntoSpool:
    """Takes one data set into the spool."""

    def __init__(
        self,
        spool: Spool,
        active: Callable[[], Active],
        arrival: Arrival,
        incoming: Incoming,
        measures: Measures,
        arriving: Arriving | None,
    ) -> None:
        self._measures = measures
        self._arriving = arriving
        self._spool = spool
        self._active = active
        self._arrival = arrival
        self._sender = arrival.sender
        self._incoming = incoming
        self._failure: Result | None = None
        self._next_check = _CHECK_BYTES

    def write(self, data: memoryview) -> None:
        """Append to the file; what the spool cannot take is said in the result."""
        if self._failure is not None:
            return
        if self._arriving is not None:
            self._arriving.take(data)
        try:
            self._incoming.write(data)
            if self._incoming.length >= self._next_check:
                self._next_check += _CHECK_BYTES
                level = self._spool.level()
                if level.used >= level.watermark:
                    self._fail(Result(Answer.FULL, "the spool is above its high watermark"))
        except OSError as error:
            self._fail_on(error)

    def flush(self) -> None:
        """Write what was taken so far."""
        if self._failure is not None:
            return
        try:
            self._incoming.flush()
        except OSError as error:
            self._fail_on(error)

    def finish(self) -> Result:
        """Route the instance and commit it; success means that it is safe."""
        try:
            return self._finish()
        finally:
            self._end_arriving()

    def _end_arriving(self) -> None:
        if self._arriving is not None:
            self._arriving.end()

    def _finish(self) -> Result:
        if self._failure is not None:
            return self._failure
        try:
            result = self._decide(self._active())
        except Exception:
            # Nothing is written down yet: an error of ours must not keep the file or its descriptor.
            log.exception("reception.failed", **self._names)
            return self._fail(Result(Answer.OUR_ERROR, "the gateway failed; its log says why"))
        if result.is_success:
            self._measures.listener(self._sender.listener).instance_bytes.observe(self._incoming.length)
        return result

    @property
    def _names(self) -> dict[str, str | int]:
        """What every log line about this instance says of it."""
        return {"association": self._sender.association, "instance": self._incoming.id}

    def _decide(self, active: Active) -> Result:
        if self._incoming.length % 2:
            # Whoever it went to would choke on it, and a padded one would not be what was sent.
            why = f"the data set has an odd length of {self._incoming.length} bytes (PS3.5 7.1)"
            return self._fail(Result(Answer.MALFORMED, why))
        try:
            decision = decide(self._incoming.read, self._arrival.transfer_syntax_uid, self._sender.facts, active.rules)
        except HeadError as error:
            return self._fail(Result(Answer.MALFORMED, str(error)))
        except OSError as error:
            return self._fail_on(error)
        mismatch = _mismatch(decision.elements, self._arrival)
        if mismatch:
            return self._fail(Result(Answer.MISMATCH, mismatch))
        if self._arriving is not None:
            self._arriving.is_of(uid_of(decision.elements, STUDY_INSTANCE_UID))
        routing = decision.routing
        if not routing.destinations and not routing.problem:
            if routing.unmatched is Unmatched.REFUSE:
                return self._fail(Result(Answer.NOT_ROUTED, "no rule of the route takes this instance"))
            if routing.unmatched is Unmatched.DISCARD:
                self._incoming.discard()
                # Most of it was never written, nor hashed.
                try:
                    self._spool.count_discarded(replace(self._received(decision, active), digest=""))
                except SpoolFailed as error:
                    return self._fail_on(error)
                log.debug("instance.discarded", **self._names)
                return Result(Answer.DISCARDED)
        return self._commit(decision, active)

    def discard(self) -> None:
        """Remove the file of a data set that will not be completed."""
        try:
            self._incoming.discard()
        except OSError as error:
            log.error("spool.discard_failed", error=str(error), **self._names)
        finally:
            self._end_arriving()

    def _commit(self, decision: Decision, active: Active) -> Result:
        try:
            self._incoming.end()
            level = self._spool.level()
        except OSError as error:
            return self._fail_on(error)
        if level.used > level.capacity:  # many came at once, each of them below the watermark
            return self._fail(Result(Answer.FULL, "the spool is full"))
        try:
            self._spool.keep_recipes(decision.routing.recipes.values())
            self._spool.studies.keep_plans(decision.routing.waits.values())
        except (SpoolFailed, OSError) as error:
            return self._fail_on(error)
        received = self._received(decision, active)
        # Nobody waits for what waits for its study: it takes as long as others send.
        at_once = [one for one in received.destinations if one not in received.waits]
        waited_for = None if received.hold else active.waited_for(at_once)
        waiter = Waiter(waited_for) if waited_for else None
        if decision.routing.problem:
            log.warning("rules.error", error=decision.routing.problem, **self._names)
        try:
            identifier = self._spool.repeat(received, waiter)
            if identifier is not None:
                self.discard()
                log.debug("instance.repeated", kept=identifier, **self._names)
            else:
                begin = time.monotonic()
                self._spool.receive(self._incoming, received, waiter)
                self._measures.commit_seconds.observe(time.monotonic() - begin)
                identifier = received.id
                log.debug(
                    "instance.received",
                    listener=received.sender.listener,
                    bytes=received.length,
                    destinations=received.destinations,
                    hold=received.hold,
                    **self._names,
                )
        except SpoolUncertain as error:
            # Its record may be on the volume: without its bytes that would look like a loss.
            log.error("spool.uncertain", error=str(error), **self._names)
            return Result(Answer.CANNOT_KEEP, "the spool cannot take it", received.id)
        except (SpoolFailed, OSError) as error:
            return self._fail_on(error)
        if waiter is None:
            return Result(Answer.KEPT)
        return self._await(identifier, waiter, active.configuration.acknowledge.timeout_seconds)

    def _await(self, identifier: int, waiter: Waiter, seconds: float) -> Result:
        """Answer once those have the instance that are waited for. Whatever the answer is, it stays owed."""
        try:
            found = waiter.wait(seconds)
        finally:
            self._spool.forget(identifier, waiter)
        states = {found[name].state if name in found else DeliveryState.PENDING for name in waiter.wanted}
        if states == {DeliveryState.DELIVERED}:
            return Result(Answer.KEPT)
        if DeliveryState.DEAD_LETTERED in states:
            return Result(Answer.REFUSED_BY_DESTINATION, "a destination refused the instance; the gateway keeps it")
        if DeliveryState.SKIPPED in states:
            return Result(Answer.NOT_DELIVERED_YET, "a delivery was given up: send it again")
        return Result(Answer.NOT_DELIVERED_YET, "not delivered yet: the gateway keeps it and retries")

    def _received(self, decision: Decision, active: Active) -> Received:
        destinations = decision.routing.destinations
        # Whom the sender waits for is owed it, whatever it is owed already.
        bounded = active.quotas.keys() - (active.waited_for(destinations) or ())
        skipped = [one for one in destinations if one in bounded and self._spool.owed_bytes(one) >= active.quotas[one]]
        return Received(
            id=self._incoming.id,
            time=time.time(),
            sop_class_uid=self._arrival.sop_class_uid,
            sop_instance_uid=self._arrival.sop_instance_uid,
            series_instance_uid=uid_of(decision.elements, _SERIES_INSTANCE_UID),
            study_instance_uid=uid_of(decision.elements, STUDY_INSTANCE_UID),
            transfer_syntax_uid=self._arrival.transfer_syntax_uid,
            length=self._incoming.length,
            digest=self._incoming.digest,
            sender=self._sender,
            generation=active.configuration.generation,
            destinations=tuple(one for one in destinations if one not in skipped),
            skipped=tuple(skipped),
            hold=decision.hold,
            key=self._incoming.key,
            recipes={name: recipe.id for name, recipe in decision.routing.recipes.items()},
            modality=_text(decision.elements, _MODALITY) if active.configuration.tracks_studies else None,
            waits={name: plan.id for name, plan in decision.routing.waits.items()},
            open_seconds=self._arriving.open_seconds if self._arriving is not None else 0,
        )

    def _fail_on(self, error: Exception) -> Result:
        if isinstance(error, OSError):
            self._spool.distrust(error)
        log.error("spool.write_failed", error=str(error), **self._names)
        return self._fail(Result(Answer.CANNOT_KEEP, "the spool cannot take it"))

    def _fail(self, result: Result) -> Result:
        self._failure = Result(result.answer, result.sentence, self._incoming.id)
        self.discard()
        return self._failure


def _mismatch(elements: dict[int, RawElement], arrival: Arrival) -> str:
    """Return how the data set contradicts what was announced, or ""."""
    for tag, name, asked in (
        (_SOP_CLASS_UID, "SOP Class UID", arrival.sop_class_uid),
        (_SOP_INSTANCE_UID, "SOP Instance UID", arrival.sop_instance_uid),
    ):
        if tag not in elements:
            return f"the data set has no {name}"
        if uid_of(elements, tag) != asked:
            return f"the {name} differs from that in the request"
    return ""


def _text(elements: dict[int, RawElement], tag: int) -> str:
    """Return a code string (PS3.5 6.2), "" where there is none or what is there is none."""
    element = elements.get(tag)
    text = element.value.strip(b"\0 ").decode("ascii", "replace") if element else ""
    return text if _CODE_STRING.fullmatch(text) else ""
