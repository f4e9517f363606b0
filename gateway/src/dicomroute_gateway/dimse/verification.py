"""The Verification service: a C-ECHO is answered, and that is all (PS3.4 annex A)."""

from .admission import Refusal
from .associate import AssociateRequest
from .command import CommandField, Status
from .negotiation import VERIFICATION, uncompressed_of
from .services import Answered, Call, Exchange, Offer, Proposal


class VerificationService:
    """Answers C-ECHO."""

    is_storage = False

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take the Verification SOP Class, in any uncompressed transfer syntax: its messages have no data set."""
        if proposal.context.abstract_syntax != VERIFICATION:
            return None
        roles = None if proposal.roles is None else (proposal.roles[0], False)
        return Offer(uncompressed_of(proposal.context.transfer_syntaxes), roles)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody: who tests a connection is always welcome."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Answer."""
        is_echo = call.command.field == CommandField.C_ECHO_RQ
        return Answered(Status.SUCCESS if is_echo else Status.UNRECOGNIZED_OPERATION)
