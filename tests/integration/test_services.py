"""A DIMSE verb is a service more in the list: a made-up one is served over a real socket beside the others.

Nothing of the association, the listener or the codecs is changed for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from negotiating import SERVICES
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from dicomroute_gateway.configuration.listener import Listener as ListenerConfiguration
from dicomroute_gateway.configuration.model import Mode
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.counts import Counts
from dicomroute_gateway.dimse.listener import Listener
from dicomroute_gateway.dimse.services import Call, Exchange, Offer, Proposal, Reply, Responder, Services
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.dimse.verification import VerificationService

FIND = str(StudyRootQueryRetrieveInformationModelFind)
PENDING, SUCCESS, CANNOT = 0xFF00, 0x0000, 0xC000
IMPLICIT = str(ImplicitVRLittleEndian)


@dataclass
class Echoing:
    """Answers a C-FIND with its own identifier, as often as it has bytes: a made-up service."""

    is_storage: bool = False
    turned_away: bool = False
    discarded: list[int] = field(default_factory=list)

    def offer(self, proposal: Proposal) -> Offer | None:
        if proposal.context.abstract_syntax != FIND:
            return None
        takes = IMPLICIT if IMPLICIT in proposal.context.transfer_syntaxes else None
        extended = None if proposal.extended is None else bytes((1, 0, 0))
        return Offer(takes, proposal.roles and (True, False), extended)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        asks = any(context.abstract_syntax == FIND for context in request.contexts)
        return Refusal.TOO_MANY_ASSOCIATIONS if self.turned_away and asks else None

    def begin(self, call: Call) -> Exchange:
        return _Asked(self, call)


class _Asked:
    def __init__(self, service: Echoing, call: Call) -> None:
        self._service = service
        self._call = call
        self._data = bytearray()

    def write(self, data: memoryview) -> None:
        self._data += data

    def flush(self) -> None:
        pass

    def answer(self, responder: Responder) -> None:
        if self._call.command.field != 0x0020:
            responder.respond(Reply(CANNOT, "a C-FIND is wanted"))
            return
        for _ in range(3):
            responder.respond(Reply(PENDING, data_set=bytes(self._data)))
        responder.respond(Reply(SUCCESS))

    def discard(self) -> None:
        self._service.discarded.append(len(self._data))


@pytest.fixture
def service() -> Echoing:
    return Echoing()


@pytest.fixture
def listener(service: Echoing, tmp_path: Path) -> Iterator[Listener]:
    settings = ListenerConfiguration.model_validate(
        {
            "name": "dicom", "port": 0, "aeTitles": ["GATE"], "sources": {"policy": "Any"}, "maxAssociations": 5,
            "maxPDUBytes": 16384, "acseTimeoutSeconds": 5, "idleTimeoutSeconds": 5, "stallTimeoutSeconds": 5,
        }
    )  # fmt: skip
    services = Services([VerificationService(), service])
    one = Listener("dicom", lambda: (settings, Mode.RUNNING), services, Counts(), "127.0.0.1", 0, TlsContexts(tmp_path))
    one.start()
    yield one
    one.close()


def identifier(text: str) -> Dataset:
    data_set = Dataset()
    data_set.QueryRetrieveLevel = "STUDY"
    data_set.RetrieveURL = text
    return data_set


def test_a_verb_that_nobody_knew_is_negotiated_and_answered_in_several_responses(listener: Listener) -> None:
    entity = AE(ae_title="CT1")
    contexts = [build_context(Verification), build_context(FIND, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = FIND, b"\1\1\1"
    negotiation = [build_role(FIND, scu_role=True, scp_role=True), extended]
    answers: list[bytes] = []
    association = entity.associate(
        "127.0.0.1", listener.port, contexts, "GATE", ext_neg=negotiation,
        evt_handlers=[(evt.EVT_ACCEPTED, lambda event: answers.extend(
            event.assoc.acceptor.sop_class_extended.values()))],
    )  # fmt: skip
    assert association.is_established
    assert answers == [b"\1\0\0"]
    (found,) = [one for one in association.accepted_contexts if one.abstract_syntax == FIND]
    assert found.transfer_syntax == [IMPLICIT]
    for text in ("Quixlebury", "x" * 40_000):
        responses = [(status.Status, data) for status, data in association.send_c_find(identifier(text), FIND)]
        assert [status for status, _ in responses] == [PENDING] * 3 + [SUCCESS]
        assert [data.RetrieveURL for _, data in responses if data is not None] == [text] * 3
    assert association.send_c_echo().Status == SUCCESS
    association.release()


def test_it_is_refused_where_it_takes_no_transfer_syntax_and_may_turn_a_request_away(
    listener: Listener, service: Echoing
) -> None:
    entity = AE(ae_title="CT1")
    contexts = [build_context(Verification), build_context(FIND, [ExplicitVRLittleEndian])]
    association = entity.associate("127.0.0.1", listener.port, contexts, "GATE")
    assert [one.result for one in association.rejected_contexts] == [4]
    association.release()
    service.turned_away = True
    assert entity.associate("127.0.0.1", listener.port, contexts, "GATE").is_rejected
    only_echo = entity.associate("127.0.0.1", listener.port, [build_context(Verification)], "GATE")
    assert only_echo.send_c_echo().Status == SUCCESS
    only_echo.release()


def test_what_is_served_today_does_not_know_it() -> None:
    assert [service.is_storage for service in SERVICES._services] == [False, True]
