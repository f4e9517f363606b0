"""The Storage Commitment service of the listeners: reports of those whom the gateway asks (PS3.4 J.3.3)."""

from collections.abc import Callable
from typing import Final

from dicomroute_gateway.configuration.model import Configuration, ConfirmBy
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.services import Answered, Call, Exchange, Offer, Proposal, Reply, Responder
from dicomroute_gateway.dimse.storage_commitment import PUSH_MODEL, TRANSFER_SYNTAXES
from dicomroute_gateway.node.reports import Reports

MOST_DATA_SET_BYTES: Final = 4 << 20
"""Of a request or a report: 10 000 references take a megabyte."""


class CommitmentService:
    """Takes reports on any association, where a destination is asked for commitment."""

    is_storage = False

    def __init__(self, configuration: Callable[[], Configuration], reports: Reports) -> None:
        self._configuration = configuration
        self._reports = reports

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take the SOP class from one that is its SCP; one that proposes no role may report all the same."""
        if proposal.context.abstract_syntax != PUSH_MODEL or not self._awaits_reports():
            return None
        syntax = next((one for one in TRANSFER_SYNTAXES if one in proposal.context.transfer_syntaxes), None)
        return Offer(syntax, None if proposal.roles is None else (False, proposal.roles[1]))

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Take a report."""
        if call.command.field != CommandField.N_EVENT_REPORT_RQ:
            return Answered(Status.UNRECOGNIZED_OPERATION)
        return _Report(self._reports, call)

    def _awaits_reports(self) -> bool:
        by_commitment = ConfirmBy.STORAGE_COMMITMENT
        confirms = (one.confirm for one in self._configuration().destinations)
        return any(one is not None and one.by is by_commitment for one in confirms)


class _Bounded:
    """An exchange that keeps a data set up to a bound."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_too_long = False

    def write(self, data: memoryview) -> None:
        """Keep the next bytes."""
        self.is_too_long = self.is_too_long or len(self.data) + len(data) > MOST_DATA_SET_BYTES
        if not self.is_too_long:
            self.data += data

    def flush(self) -> None:
        """Nothing is kept as a view."""

    def discard(self) -> None:
        """Forget the bytes."""
        self.data.clear()


class _Report(_Bounded):
    """One report."""

    def __init__(self, reports: Reports, call: Call) -> None:
        super().__init__()
        self._reports = reports
        self._call = call

    def answer(self, responder: Responder) -> None:
        """Take the report, and answer it in any case: who gets no answer reports again and again."""
        if self.is_too_long:
            responder.respond(Reply(Status.RESOURCE_LIMITATION, "the report is too long"))
            return
        status, comment = self._reports.take(bytes(self.data), self._call.context.transfer_syntax)
        responder.respond(Reply(status, comment))
