"""How a DicomNode is called, for whatever is to be sent to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dicomroute_gateway.configuration.destinations import DicomNodeDestination, NodeTls
from dicomroute_gateway.dimse.connect import connect, connect_securely
from dicomroute_gateway.dimse.propose import NOTHING, Syntaxes, group_contexts
from dicomroute_gateway.dimse.requestor import Called, Requestor, Timeouts
from dicomroute_gateway.dimse.tls import TlsContexts

_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to associate with, with how much patience, and over which TLS."""

    called: Called
    timeouts: Timeouts
    tls: NodeTls | None = None


def peer_of(node: DicomNodeDestination) -> Peer:
    """Return whom to associate with, and how."""
    return Peer(
        Called(node.host, node.port, node.called_ae_title, node.calling_ae_title),
        Timeouts(
            connect=_CONNECT_SECONDS,
            acse=node.acse_timeout_seconds,
            stall=node.stall_timeout_seconds,
            response=node.response_timeout_seconds,
        ),
        node.tls,
    )


def associate(
    peer: Peer,
    wanted: Sequence[Syntaxes],
    contexts: TlsContexts,
    roles: Mapping[str, tuple[bool, bool]] = NOTHING,
) -> Requestor:
    """Open an association on which 128 syntaxes at most are proposed. Blocks. Raises RequestorFailure.

    `roles` are whether this side is to be SCU and SCP, where it is not to be the SCU of a SOP class.
    """
    (proposed,) = group_contexts(wanted)
    over = connect if peer.tls is None else partial(connect_securely, contexts, peer.tls)
    return Requestor.open(peer.called, proposed, peer.timeouts, over, roles)
