"""The Storage service as its SCP: instances that come by C-STORE, and the statuses that answer them (PS3.4 annex B)."""

import time
from typing import Final

from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.negotiation import choose_transfer_syntax, is_storage_class
from dicomroute_gateway.dimse.services import (
    Answered,
    AssociationFacts,
    Call,
    Exchange,
    Offer,
    Proposal,
    Reply,
    Responder,
)
from dicomroute_gateway.measures import ListenerMeasures, Measures
from dicomroute_gateway.spool.records import Sender

from .arrival import Answer, Arrival, Taking
from .reception import Reception

LEVEL_2_FULL: Final = bytes((2, 0, 0, 0, 0, 0))
"""Service class application information: level 2, no digital signatures, no coercion (PS3.4 B.3.1)."""

_STATUSES: Final = {
    Answer.KEPT: Status.SUCCESS,
    Answer.DISCARDED: Status.SUCCESS,
    Answer.FULL: Status.OUT_OF_RESOURCES,
    Answer.CANNOT_KEEP: Status.OUT_OF_RESOURCES,
    Answer.INVALID_INSTANCE: Status.INVALID_SOP_INSTANCE,
    Answer.MALFORMED: Status.CANNOT_UNDERSTAND,
    Answer.MISMATCH: Status.DATA_SET_MISMATCH,
    Answer.NOT_ROUTED: Status.NOT_AUTHORIZED,
    Answer.NOT_DELIVERED_YET: Status.OUT_OF_RESOURCES,
    Answer.REFUSED_BY_DESTINATION: Status.CANNOT_UNDERSTAND,
    Answer.OUR_ERROR: Status.PROCESSING_FAILURE,
}
"""PS3.4 table B.2-1 and PS3.7 annex C. A sender repeats what was answered with A7xx, and nothing else."""


class StorageService:
    """Takes instances of every storage class, and of every private one."""

    is_storage = True

    def __init__(self, reception: Reception, measures: Measures) -> None:
        self._reception = reception
        self._measures = measures

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take storage classes, as SCP alone, and say that all elements are kept (PS3.4 B.3.1, level 2)."""
        if not is_storage_class(proposal.context.abstract_syntax):
            return None
        roles = None if proposal.roles is None else (proposal.roles[0], False)
        return Offer(choose_transfer_syntax(proposal.context.transfer_syntaxes), roles, LEVEL_2_FULL)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Turn away who would store while there is no room."""
        # Who is to be stored to by a C-GET stores nothing here (PS3.7 D.3.3.4).
        stored_to = {uid for uid, as_scu, as_scp in request.roles if as_scp and not as_scu}
        proposed = {context.abstract_syntax for context in request.contexts} - stored_to
        stores = any(map(is_storage_class, proposed))
        return Refusal.SPOOL_FULL if stores and not self._reception.has_room() else None

    def begin(self, call: Call) -> Exchange:
        """Take an instance."""
        command, abstract_syntax = call.command, call.context.abstract_syntax
        if command.field != CommandField.C_STORE_RQ:
            return Answered(Status.UNRECOGNIZED_OPERATION)
        measures = self._measures.listener(call.association.listener)
        if not command.has_data_set:
            return _Refused(Status.CANNOT_UNDERSTAND, "the C-STORE request has no data set", call, measures)
        if command.affected_sop_class_uid != abstract_syntax:
            sentence = "the SOP class is not the one of its context"
            return _Refused(Status.SOP_CLASS_NOT_SUPPORTED, sentence, call, measures)
        taking = self._reception.open(
            Arrival(
                sender_of(call.association),
                command.affected_sop_class_uid,
                command.affected_sop_instance_uid,
                call.context.transfer_syntax,
            )
        )
        return _Store(taking, call, measures)


class _Refused(Answered):
    """A C-STORE that is refused whatever its data set is."""

    def __init__(self, status: Status, comment: str, call: Call, measures: ListenerMeasures) -> None:
        super().__init__(status, comment)
        self._refusal = status
        self._call = call
        self._measures = measures

    def answer(self, responder: Responder) -> None:
        """Give the answer, and count it."""
        super().answer(responder)
        self._measures.answered(self._refusal, time.monotonic() - self._call.begun)


class _Store:
    """One C-STORE."""

    def __init__(self, taking: Taking, call: Call, measures: ListenerMeasures) -> None:
        self.write = taking.write
        self.flush = taking.flush
        self.discard = taking.discard
        self._taking = taking
        self._begun = call.begun
        self._measures = measures

    def answer(self, responder: Responder) -> None:
        """Say what became of the instance."""
        result = self._taking.finish()
        status = _STATUSES[result.answer]
        responder.respond(Reply(status, result.sentence, instance=result.instance))
        self._measures.answered(status, time.monotonic() - self._begun)


def sender_of(facts: AssociationFacts) -> Sender:
    """Return what is written down of an association."""
    return Sender(
        association=facts.identifier,
        listener=facts.listener,
        calling_ae_title=facts.calling_ae_title,
        called_ae_title=facts.called_ae_title,
        address=str(facts.address),
    )
