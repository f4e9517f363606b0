"""Who may associate: pure decisions over a listener's configuration (PS3.8 section 9.3.4)."""

from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from dicomroute_gateway.configuration.model import Caller, Listener, Mode, SourcePolicy

from .associate import AssociateRequest
from .items import APPLICATION_CONTEXT

AnyCaller = TypeVar("AnyCaller", bound=Caller)


class Refusal(Enum):
    """Why an association is refused: a name, and result, source, reason of the A-ASSOCIATE-RJ (table 9-21)."""

    CALLED_AE_TITLE = ("CalledAETitle", 1, 1, 7)
    CALLING_AE_TITLE = ("CallingAETitle", 1, 1, 3)
    SOURCE_ADDRESS = ("SourceAddress", 1, 1, 3)
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


def refusal(
    request: AssociateRequest, address: IPv4Address | IPv6Address, listener: Listener, mode: Mode
) -> Refusal | None:
    """Return why `request`, from `address`, is not admitted to `listener`, or None when it is."""
    if not request.protocol_version & 1:
        return Refusal.PROTOCOL_VERSION
    if request.application_context != APPLICATION_CONTEXT:
        return Refusal.APPLICATION_CONTEXT
    return caller_refusal(request.calling_ae_title, request.called_ae_title, address, listener, mode)


def may_connect(address: IPv4Address | IPv6Address, listener: Listener) -> bool:
    """Return whether anybody who may associate calls from this address."""
    sources = listener.sources
    return sources.policy is SourcePolicy.ANY or any(
        c.any_address or _within(address, c.networks) for c in sources.callers
    )


def caller_refusal(
    calling_ae_title: str, called_ae_title: str, address: IPv4Address | IPv6Address, listener: Listener, mode: Mode
) -> Refusal | None:
    """Return why a caller is not admitted to `listener`, or None when it is.

    The caller is looked at before the called title: a stranger learns nothing about the titles served here.
    """
    if listener.sources.policy is SourcePolicy.NODES:
        callers = [c for c in listener.sources.callers if calling_ae_title in c.calling_ae_titles]
        if not callers:
            return Refusal.CALLING_AE_TITLE
        if not any(c.any_address or _within(address, c.networks) for c in callers):
            return Refusal.SOURCE_ADDRESS
    if called_ae_title not in listener.ae_titles:
        return Refusal.CALLED_AE_TITLE
    if mode is Mode.REFUSE_ASSOCIATIONS:
        return Refusal.REFUSING_ASSOCIATIONS
    return None


def places_of(calling_ae_title: str, address: IPv4Address | IPv6Address, listener: Listener) -> tuple[str, int]:
    """Return by what a caller who is admitted is counted, and how many of the listener's places it may have.

    It is the node, where nodes are named, and else the address: titles are free to choose.
    """
    named = listener.sources.policy is SourcePolicy.NODES
    found = find_caller(listener.sources.callers, calling_ae_title, address) if named else None
    caller = found.node if found is not None else str(address)
    if listener.max_associations_per_caller is not None:
        return caller, listener.max_associations_per_caller
    is_alone = named and len(listener.sources.callers) == 1
    return caller, listener.max_associations if is_alone else -(-3 * listener.max_associations // 4)


def find_caller(callers: Sequence[AnyCaller], title: str, address: IPv4Address | IPv6Address) -> AnyCaller | None:
    """Return the first of the nodes that call with this title from this address."""
    return next(
        (
            one
            for one in callers
            if title in one.calling_ae_titles and (one.any_address or _within(address, one.networks))
        ),
        None,
    )


def _within(address: IPv4Address | IPv6Address, networks: list[IPv4Network | IPv6Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
