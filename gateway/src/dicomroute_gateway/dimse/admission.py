"""Who may associate: pure decisions over a listener's configuration (PS3.8 section 9.3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from dicomroute_gateway.configuration.listener import AllowedCaller as Node
from dicomroute_gateway.configuration.listener import Listener, ListenerMode, SourcePolicy
from dicomroute_gateway.configuration.model import Mode

from .associate import AssociateRequest
from .certificate import PeerCertificate, read_certificate
from .items import APPLICATION_CONTEXT

AnyNode = TypeVar("AnyNode", bound=Node)


class Refusal(Enum):
    """Why an association is refused: a name, and result, source, reason of the A-ASSOCIATE-RJ (table 9-21)."""

    CALLED_AE_TITLE = ("CalledAETitle", 1, 1, 7)
    CALLING_AE_TITLE = ("CallingAETitle", 1, 1, 3)
    SOURCE_ADDRESS = ("SourceAddress", 1, 1, 3)
    CERTIFICATE_NOT_SHOWN = ("CertificateNotShown", 1, 1, 3)
    CERTIFICATE_OF_ANOTHER = ("CertificateOfAnotherNode", 1, 1, 3)
    APPLICATION_CONTEXT = ("ApplicationContext", 1, 1, 2)
    PROTOCOL_VERSION = ("ProtocolVersion", 1, 2, 2)
    REFUSING_ASSOCIATIONS = ("RefusingAssociations", 2, 3, 1)
    SPOOL_FULL = ("SpoolFull", 2, 3, 1)
    TOO_MANY_ASSOCIATIONS = ("TooManyAssociations", 2, 3, 2)
    TOO_MANY_OF_CALLER = ("TooManyAssociationsOfCaller", 2, 3, 2)

    @property
    def label(self) -> str:
        """The name of this refusal in logs and metrics."""
        return self.value[0]

    @property
    def answer(self) -> tuple[int, int, int]:
        """Result, source and reason of the A-ASSOCIATE-RJ."""
        return self.value[1:]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the title that he says, where from, and the certificate that he has shown and TLS has verified."""

    calling_ae_title: str
    address: IPv4Address | IPv6Address
    certificate: PeerCertificate | None = None


def refusal(request: AssociateRequest, caller: Caller, listener: Listener, mode: Mode) -> Refusal | None:
    """Return why `request` is not admitted to `listener`, or None when it is."""
    if not request.protocol_version & 1:
        return Refusal.PROTOCOL_VERSION
    if request.application_context != APPLICATION_CONTEXT:
        return Refusal.APPLICATION_CONTEXT
    return caller_refusal(caller, request.called_ae_title, listener, mode)


def may_connect(address: IPv4Address | IPv6Address, listener: Listener) -> bool:
    """Return whether anybody who may associate calls from this address."""
    sources = listener.sources
    return sources.policy is SourcePolicy.ANY or any(
        c.any_address or _within(address, c.networks) for c in sources.callers
    )


def wants_certificates(listener: Listener) -> bool:
    """Return whether it matters for a listener which certificate its callers show."""
    return any(one.certificates for one in listener.sources.callers)


def caller_refusal(caller: Caller, called_ae_title: str, listener: Listener, mode: Mode) -> Refusal | None:
    """Return why a caller is not admitted to `listener`, or None when it is.

    The caller is looked at before the called title: a stranger learns nothing about the titles served here.
    """
    if listener.sources.policy is SourcePolicy.NODES:
        titled = [one for one in listener.sources.callers if caller.calling_ae_title in one.calling_ae_titles]
        if not titled:
            return Refusal.CALLING_AE_TITLE
        near = [one for one in titled if _is_near(caller, one)]
        if not near:
            return Refusal.SOURCE_ADDRESS
        if not any(_is_known(caller, one) for one in near):
            return Refusal.CERTIFICATE_OF_ANOTHER if caller.certificate else Refusal.CERTIFICATE_NOT_SHOWN
    if called_ae_title not in listener.ae_titles:
        return Refusal.CALLED_AE_TITLE
    if mode is Mode.REFUSE_ASSOCIATIONS or listener.mode is ListenerMode.REFUSE_ASSOCIATIONS:
        return Refusal.REFUSING_ASSOCIATIONS
    return None


def may_stay(caller: Caller, called_ae_title: str, listener: Listener) -> bool:
    """Return whether an open association of a caller goes on: what refuses new ones leaves it."""
    return caller_refusal(caller, called_ae_title, listener, Mode.RUNNING) in (None, Refusal.REFUSING_ASSOCIATIONS)


def places_of(caller: Caller, listener: Listener) -> tuple[str, int]:
    """Return by what a caller who is admitted is counted, and how many of the listener's places it may have.

    It is the node, where nodes are named, and else the address: titles are free to choose.
    """
    named = listener.sources.policy is SourcePolicy.NODES
    found = _admitted(listener.sources.callers, caller) if named else None
    name = found.node if found is not None else str(caller.address)
    if listener.max_associations_per_caller is not None:
        return name, listener.max_associations_per_caller
    is_alone = named and len(listener.sources.callers) == 1
    return name, listener.max_associations if is_alone else -(-3 * listener.max_associations // 4)


def _is_near(caller: Caller, node: Node) -> bool:
    return node.any_address or _within(caller.address, node.networks)


def _is_known(caller: Caller, node: Node) -> bool:
    """Whether a caller shows what the node has to show, if it has to show anything."""
    shown = caller.certificate
    return not node.certificates or (shown is not None and shown.is_one_of(node.certificates))


def find_caller(
    nodes: Sequence[AnyNode], title: str, address: IPv4Address | IPv6Address, shown: bytes | None
) -> AnyNode | None:
    """Return the first of the nodes that call with this title, from this address and with a certificate of theirs.

    `shown` is the certificate that the peer has shown, in DER, if any. It is read where it matters alone.
    """
    reads = shown is not None and any(one.certificates for one in nodes)
    certificate = read_certificate(shown) if reads and shown is not None else None
    return _admitted(nodes, Caller(title, address, certificate))


def _admitted(nodes: Sequence[AnyNode], caller: Caller) -> AnyNode | None:
    return next(
        (
            one
            for one in nodes
            if caller.calling_ae_title in one.calling_ae_titles and _is_near(caller, one) and _is_known(caller, one)
        ),
        None,
    )


def _within(address: IPv4Address | IPv6Address, networks: list[IPv4Network | IPv6Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
