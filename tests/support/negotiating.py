"""What the services of a gateway answer to an A-ASSOCIATE-RQ, without a gateway."""

from typing import Any

from dicomroute_gateway.dimse.associate import AssociateRequest, encode_associate_accept
from dicomroute_gateway.dimse.services import Negotiated, Services
from dicomroute_gateway.dimse.verification import VerificationService
from dicomroute_gateway.intake.storage_scp import StorageService
from dicomroute_gateway.measures import Measures

_NO_RECEPTION: Any = None
SERVICES = Services([VerificationService(), StorageService(_NO_RECEPTION, Measures())])


def negotiated(request: AssociateRequest) -> Negotiated:
    """Return what is accepted of a request."""
    return SERVICES.negotiate(request)


def accepted(request: AssociateRequest, max_pdu_bytes: int) -> bytes:
    """Return the A-ASSOCIATE-AC to a request."""
    answer = negotiated(request)
    return encode_associate_accept(
        request, answer.contexts, max_pdu_bytes, roles=answer.roles, extended=answer.extended
    )
