"""The sub-operations of a C-MOVE: instances stored at its destination, one after the other (PS3.4 C.4.2.2)."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import structlog

from dicomroute_gateway.dimse.failures import AFTER_REQUEST, ContextRefused, RequestorFailure, SourceFailed
from dicomroute_gateway.dimse.messages import MoveOriginator
from dicomroute_gateway.dimse.propose import MOST_CONTEXTS, Syntaxes
from dicomroute_gateway.dimse.requestor import Called, Requestor, StoreInstance
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.node.calling import Peer, associate
from dicomroute_gateway.node.outgoing import Outgoing
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.prepare.transcode import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.throttle import Throttle

from .archive import Check, Fetched, InstanceReference, NotFetched
from .forms import Forms, discard, forms
from .tally import Tally

_PATIENCE_SECONDS: Final = 10.0
"""How long a destination is called again that cannot be associated with: one that serves few at a time is soon free."""
_PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Unreachable(Exception):
    """The destination cannot be associated with; the message says why."""

    def __init__(self, failure: RequestorFailure) -> None:
        super().__init__(str(failure))
        self.reason = failure.reason


class _Left(Exception):
    """The association ended, and another one stands that can take the instance."""

    def __init__(self, fetched: Fetched) -> None:
        super().__init__()
        self.fetched = fetched


class Moving:
    """Stores instances at one destination, over one association at a time. For one thread, but for `interrupt`."""

    def __init__(
        self,
        peer: Peer,
        contexts: TlsContexts,
        originator: MoveOriginator,
        made: Forms,
        tally: Tally,
        check: Check,
        ended: threading.Event,
    ) -> None:
        self._peer = peer
        self._contexts = contexts
        self._originator = originator
        self._forms = made
        self._tally = tally
        self._check = check
        self._ended = ended
        self._requestor: Requestor | None = None
        self._proposed: dict[Syntaxes, None] = {}
        self._answered = 0
        self._may_leave = False
        self.left: list[Fetched] = []
        """What was not stored because the association ended."""
        self._unthrottled = Throttle(lambda: None)

    def expect(self, references: Iterable[InstanceReference]) -> None:
        """Propose what is likely to be needed, as far as a list tells."""
        for one in references:
            for syntax in (*one.transfer_syntax_uids[:1], EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN):
                if one.sop_class_uid and len(self._proposed) < MOST_CONTEXTS:
                    self._proposed.setdefault(Syntaxes(one.sop_class_uid, syntax))

    @property
    def called(self) -> Called:
        """Whom it stores at."""
        return self._peer.called

    def open(self) -> None:
        """Associate for what is expected. Raises RequestorFailure."""
        self._requestor = associate(self._peer, list(self._proposed), self._contexts)

    def run(self, results: Iterator[Fetched | NotFetched], *, may_leave: bool = False) -> None:
        """Store what comes, and count what becomes of each. Raises Unreachable, and what `check` raises.

        Where it `may_leave`, no further association is opened: what the first one did not store when it ended is
        `left`, and neither counted nor removed.
        """
        self._may_leave = may_leave
        try:
            for result in results:
                if isinstance(result, NotFetched):
                    self._tally.failed(result.reference.sop_instance_uid)
                    continue
                try:
                    self._check()
                    result = self._store(result)  # noqa: PLW2901  # the form that was made is what is to be removed
                except _Left as left:
                    self.left.append(left.fetched)
                    return
                except BaseException:
                    discard(result)
                    raise
                discard(result)
        finally:
            if self._requestor is not None:
                self._requestor.release()

    def interrupt(self) -> None:
        """End the association from another thread: what is under way fails."""
        requestor = self._requestor
        if requestor is not None:
            requestor.interrupt()

    def _store(self, fetched: Fetched) -> Fetched:
        """Store an instance; return it in the form that it had last."""
        uid, wanted = fetched.reference.sop_instance_uid, forms(fetched)
        for is_last in (False, True):
            if self._may_leave and not self._serves(wanted):
                raise _Left(fetched)
            requestor, answered = self._association(wanted)
            taken = next((one for one in wanted if requestor.refusal(one) is None), None)
            if taken is None:
                self._note("no form of it is taken", fetched, "ContextRefused")
                break
            try:
                fetched = self._forms.in_syntax(fetched, taken.transfer_syntax, self._check)
                wanted = (taken, *wanted)
                source = Outgoing(fetched.file, fetched.length, self._unthrottled, self._ended)
                instance = StoreInstance(*taken[:1], uid, taken.transfer_syntax, source, self._originator)
                response = requestor.store(instance)
            except (TranscodingFailed, Unreadable, OSError) as error:
                self._note(str(error), fetched, type(error).__name__)
                break
            except RequestorFailure as failure:
                # An association may end between two messages as the peer likes; that says nothing of the instance.
                is_of_instance = isinstance(failure, ContextRefused | SourceFailed)
                is_theirs = failure.reason in AFTER_REQUEST and not is_of_instance
                if self._may_leave and not is_of_instance:
                    raise _Left(fetched) from failure
                if is_last or not is_theirs or not answered:
                    self._note(str(failure), fetched, failure.reason)
                    break
            else:
                self._answered += 1
                if response.status:
                    self._note(f"status {response.status:04X}", fetched, "Status")
                self._tally.stored(uid, response.status)
                return fetched
        self._tally.failed(uid)
        return fetched

    def _association(self, wanted: Sequence[Syntaxes]) -> tuple[Requestor, int]:
        """Return an association on which the first of the forms was proposed, and how much was answered on it."""
        kept = self._requestor
        if kept is not None and self._serves(wanted):
            return kept, self._answered
        if kept is not None:
            kept.release()
        # What is wanted now stands first: a peer that accepts one context of a SOP class takes that.
        proposed = list(dict.fromkeys((*wanted, *self._proposed)))[:MOST_CONTEXTS]
        self._proposed = dict.fromkeys(proposed)
        self._answered = 0
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self._check()
            try:
                self._requestor = associate(self._peer, proposed, self._contexts)
            except RequestorFailure as failure:
                if time.monotonic() >= patience:
                    raise Unreachable(failure) from failure
                self._ended.wait(_PAUSE_SECONDS)
            else:
                return self._requestor, 0

    def _serves(self, wanted: Sequence[Syntaxes]) -> bool:
        """Whether the association stands, and the first of the forms was proposed on it."""
        return self._requestor is not None and self._requestor.is_open and wanted[0] in self._proposed

    def _note(self, why: str, fetched: Fetched, reason: str) -> None:
        log.warning(
            "retrieval.not_stored",
            destination=self._peer.called.ae_title,
            reason=reason,
            why=why,
            sop_class_uid=fetched.reference.sop_class_uid,
        )
