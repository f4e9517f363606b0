"""One C-MOVE or C-GET: its sub-operations made, its SCU told how they stand, and heard meanwhile (PS3.4 C.4.2, C.4.3).

The thread of the association tells and hears. What there is to retrieve is listed and fetched in a thread of its own,
and a C-MOVE stores it in another; the sub-operations of a C-GET go by the association itself.
"""

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Final

import structlog

from dicomroute_gateway.catalogue.keys import UNIQUE_KEYS
from dicomroute_gateway.configuration.destinations import Accepts, DicomNodeDestination
from dicomroute_gateway.configuration.queries import QueryRetrieve
from dicomroute_gateway.decoded import Element
from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.failures import SourceFailed
from dicomroute_gateway.dimse.messages import MoveOriginator
from dicomroute_gateway.dimse.services import Call, Reply, Responder
from dicomroute_gateway.dimse.wire import PeerStalled
from dicomroute_gateway.node.calling import peer_of
from dicomroute_gateway.node.outgoing import Outgoing
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.throttle import Throttle

from .archive import Fetched, NotFetched, Scope
from .attending import IN_HAND_SECONDS, Attended
from .forms import Forms, discard, forms
from .gathering import Gathering
from .identifier import encode_identifier
from .models import GET_MODELS, MOVE_MODELS, keyword_of
from .moving import Moving
from .producing import Producing
from .request import Request, RequestRefused
from .scope import scope_of
from .storing import Storing
from .tally import Listed, Tally

if TYPE_CHECKING:
    from .retrieve import RetrieveService

_PLACE_SECONDS: Final = 1.5
"""How long a retrieval waits for others to end where too many are under way: less than the first Pending may take."""
_TURN_SECONDS: Final = 0.1
_RESPONSE_SECONDS: Final = 120.0
_FAILED_LIST: Final = 0x00080058
_MOST_LIST_BYTES: Final = 0xFFFE
"""How long a value of VR UI can be where VRs are explicit (PS3.5 7.1.2)."""

log = structlog.get_logger(__name__)


class _Retrieval(Request):
    """What C-MOVE and C-GET have in common."""

    def __init__(self, service: "RetrieveService", call: Call) -> None:
        super().__init__(call)
        self._service = service
        self._destination = ""
        self._tally = Tally()

    def _final(self, responder: Responder) -> Reply:
        settings, identifier, level = self._identifier(self._service.settings(self._call.association.listener))
        unique = set(UNIQUE_KEYS.values())
        self._keys = tuple(keyword_of(tag) for tag in identifier.keys if tag in unique)
        model = self.models[self._call.context.abstract_syntax]
        scope = scope_of(model, level, identifier, is_relational=self._is_relational)
        if not self._service.places.take(settings.max_concurrent.retrievals, _PLACE_SECONDS):
            return Reply(Status.CANNOT_PERFORM, "too many retrievals are running: retry")
        folder: Path | None = None
        try:
            folder = self._service.make_folder()
            return self._retrieve(settings, scope, folder, responder)
        except OSError as error:
            log.error("retrieval.folder_failed", error=str(error))
            return Reply(Status.CANNOT_PERFORM, "the gateway cannot write what it fetches")
        finally:
            self._service.places.give_back()
            if folder is not None:
                self._service.remove_folder(folder)

    @abstractmethod
    def _retrieve(self, settings: QueryRetrieve, scope: Scope, folder: Path, responder: Responder) -> Reply:
        """Make the sub-operations; return the final response.

        Raises RequestRefused, OSError, and what ends an association.
        """

    def _gathering(self, settings: QueryRetrieve, scope: Scope, attended: Attended) -> Gathering:
        means = self._service.means
        sources = [means.spool] if settings.include_spool else []
        sources += means.archives()
        self._asked = tuple(one.name for one in sources)
        return Gathering(sources, scope, attended.check, settings.archive_timeout_seconds)

    def _ended(self, gathering: Gathering, producing: Producing, attended: Attended, comment: str = "") -> Reply:
        """Return the final response."""
        self._tell_failures("retrieval.archive_failed", gathering.failures, self._service.means.measures)
        listed = gathering.listed
        if producing.too_many is not None:
            listed, comment = Listed.NOT_KNOWN, str(producing.too_many)
        elif listed is Listed.NOT_KNOWN and gathering.failures:
            comment = comment or f"{gathering.failures[0].archive}: {gathering.failures[0].error.reason}"
        if attended.is_closing:
            comment = "the gateway shuts down"
        if not attended.is_cancelled:  # whatever ended it early: what was not stored is not passed over
            self._tally.fail_the_rest()
        status = self._tally.final_status(listed, is_cancelled=attended.is_cancelled)
        if producing.has_failed and not attended.is_cancelled:
            status, comment = Status.CANNOT_UNDERSTAND, "the gateway failed; its log says why"
        counts = self._tally.final(with_remaining=status == Status.CANCEL)
        if status == Status.SUCCESS and not any((counts.completed, counts.failed, counts.warning)):
            log.info("retrieval.nothing_found", association=self._call.association.identifier, level=self._level)
        failed = _that_fit(self._tally.failed_uids)
        data_set = None
        if failed and status != Status.SUCCESS:
            syntax = self._call.context.transfer_syntax
            data_set = encode_identifier({_FAILED_LIST: Element("UI", tuple(failed))}, syntax)
        return Reply(status, comment if status != Status.SUCCESS else "", data_set, counts=counts)

    def _note(self, status: str, seconds: float) -> None:
        counts = self._tally.final(with_remaining=False)
        outcomes = {"Completed": counts.completed, "Warning": counts.warning, "Failed": counts.failed}
        retrievals = self._service.means.measures.retrieval(self._call.association.listener)
        retrievals.answered(self.action, status, seconds, outcomes)
        self._record(status, seconds, counts.completed + counts.warning, self._destination)


class Move(_Retrieval):
    """One C-MOVE (PS3.4 C.4.2)."""

    action = "Move"
    models = MOVE_MODELS

    def _retrieve(self, settings: QueryRetrieve, scope: Scope, folder: Path, responder: Responder) -> Reply:
        node = self._service.destination(settings, self._call.command.move_destination)
        if node is None:
            raise RequestRefused(Status.MOVE_DESTINATION_UNKNOWN, "this gateway has no such move destination")
        self._destination = node.name
        if node.accepts is not Accepts.ANY:
            raise RequestRefused(
                Status.NOT_AUTHORIZED, "the destination takes de-identified data alone, which this has not"
            )
        attended = Attended(responder, self._tally, settings.pending_interval_seconds)
        gathering = self._gathering(settings, scope, attended)
        producing = Producing(gathering, self._tally, folder, lambda one: one, attended.ended)
        bounds = self._service.bounds
        storing = Storing(lambda: self._moving(node, folder, attended), gathering, producing, bounds)
        attended.attend(self._service.closing)
        try:
            producing.start()
            storing.start()
            while not storing.join(_TURN_SECONDS):
                attended.attend(self._service.closing)
                if attended.is_overdue:
                    storing.interrupt()
        finally:
            attended.ended.set()
            if not storing.join(IN_HAND_SECONDS):
                storing.interrupt()
            producing.join(IN_HAND_SECONDS)
        comment = ""
        if storing.unreachable is not None:
            comment = f"{node.called_ae_title} cannot be reached: {storing.unreachable.reason}"
        return self._ended(gathering, producing, attended, comment)

    def _moving(self, node: DicomNodeDestination, folder: Path, attended: Attended) -> Moving:
        means, command = self._service.means, self._call.command
        originator = MoveOriginator(self._call.association.calling_ae_title, command.message_id or 0)
        made = Forms(means.preparing, means.files, folder)
        return Moving(peer_of(node), means.contexts, originator, made, self._tally, attended.check, attended.ended)


class Get(_Retrieval):
    """One C-GET (PS3.4 C.4.3)."""

    action = "Get"
    models = GET_MODELS

    def _retrieve(self, settings: QueryRetrieve, scope: Scope, folder: Path, responder: Responder) -> Reply:
        attended = Attended(responder, self._tally, settings.pending_interval_seconds)
        gathering = self._gathering(settings, scope, attended)
        takes = responder.takes()
        if not takes:
            raise RequestRefused(Status.CANNOT_PERFORM, "no storage context was proposed with the SCP role")
        means = self._service.means
        made = Forms(means.preparing, means.files, folder)

        def prepare(fetched: Fetched) -> Fetched | NotFetched:
            taken = next((one for one in forms(fetched) if one in takes), None)
            if taken is None:
                discard(fetched)
                return NotFetched(fetched.reference, "ContextRefused")
            try:
                return made.in_syntax(fetched, taken.transfer_syntax, attended.check)
            except (TranscodingFailed, Unreadable, OSError) as error:
                log.warning("retrieval.not_prepared", reason=type(error).__name__, why=str(error))
                discard(fetched)
                return NotFetched(fetched.reference, type(error).__name__)

        producing = Producing(gathering, self._tally, folder, prepare, attended.ended)
        attended.attend(self._service.closing)
        try:
            producing.start()
            for result in self._results(producing, attended):
                self._store(result, attended)
        finally:
            attended.ended.set()
            producing.join(IN_HAND_SECONDS)
        return self._ended(gathering, producing, attended)

    def _results(self, producing: Producing, attended: Attended) -> Iterator[Fetched | NotFetched]:
        """Yield what is ready, attending to the peer meanwhile."""
        while not attended.ended.is_set():
            attended.attend(self._service.closing)
            try:
                one = producing.next(_TURN_SECONDS)
            except Empty:
                continue
            if one is None:
                return
            yield one

    def _store(self, result: Fetched | NotFetched, attended: Attended) -> None:
        """Make one sub-operation. Raises PeerGone, PeerStalled, ProtocolViolation."""
        uid = result.reference.sop_instance_uid
        if isinstance(result, NotFetched):
            self._tally.failed(uid)
            return
        responder = attended.responder
        try:
            if attended.ended.is_set():
                return
            source = Outgoing(result.file, result.length, Throttle(lambda: None), attended.ended)
            responder.store(forms(result)[0], uid, source)
            begun = time.monotonic()
            while (status := responder.stored(_TURN_SECONDS)) is None:
                attended.attend(self._service.closing)
                if attended.is_overdue:
                    return
                if attended.ended.is_set():
                    time.sleep(_TURN_SECONDS / 2)  # a peer that releases says nothing more
                if time.monotonic() - begun > _RESPONSE_SECONDS:
                    raise PeerStalled
            self._tally.stored(uid, status)
        except SourceFailed as error:  # before the first byte
            log.warning("retrieval.not_sent", why=str(error))
            self._tally.failed(uid)
        finally:
            discard(result)


def _that_fit(uids: Sequence[str]) -> list[str]:
    """Return as many UIDs as one value can have."""
    found, length = [], 0
    for uid in uids:
        length += len(uid) + 1
        if length > _MOST_LIST_BYTES:
            break
        found.append(uid)
    return found
