"""Gives held instances what today's rules say of them."""

from .reception import Active, association_values, hold_reason
from .rules.head import HeadError, scan
from .rules.routing import Routing
from .spool.content import Unreadable
from .spool.records import Received
from .spool.spool import Spool


class ReleaseError(Exception):
    """An instance cannot be released; the message says why."""


def route_again(spool: Spool, active: Active, received: Received) -> Routing:
    """Return what the rules in force say of an instance in the spool.

    Raises ReleaseError when its file cannot be read.
    """
    head_bytes = received.content_length - received.length
    try:
        with spool.stored(received).open() as content:
            elements = scan(
                lambda offset, length: content.read_at(head_bytes + offset, length),
                received.transfer_syntax_uid,
                active.rules.wanted,
            )
    except (HeadError, Unreadable) as error:
        raise ReleaseError(f"instance {received.id}: {error}") from error
    return active.rules.route(elements, received.transfer_syntax_uid, association_values(received.sender))


def release(spool: Spool, active: Active, received: Received) -> bool:
    """Give a held instance the destinations of the rules in force; return whether anything holds it no longer.

    An instance that no rule takes stays held. Raises ReleaseError.
    """
    routing = route_again(spool, active, received)
    hold = hold_reason(routing)
    spool.decisions.reroute(received.id, (str(d) for d in routing.destinations), hold)
    return not hold
