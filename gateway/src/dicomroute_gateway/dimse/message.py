"""A DIMSE message on its way in, and what answers it on its association."""

from collections.abc import Callable
from typing import Protocol

from .command import Command
from .negotiation import NegotiatedContext
from .propose import Syntaxes
from .services import EventReport, Exchange, Reply, Service
from .source import DataSetSource
from .suboperations import StoreOperations


class Message:
    """A DIMSE message on its way in (PS3.7 section 6.3)."""

    __slots__ = ("command", "command_bytes", "context", "exchange", "is_cancelled", "service")

    def __init__(self, context: NegotiatedContext, service: Service) -> None:
        self.context = context
        self.service = service
        self.command_bytes = bytearray()
        self.command: Command | None = None
        self.exchange: Exchange | None = None
        self.is_cancelled = False


class Answers(Protocol):
    """An association, as far as answers go."""

    operations: StoreOperations

    def respond(self, message: Message, command: Command, reply: Reply) -> None:
        """Send a response to a message."""

    def is_cancelled(self, message: Message, command: Command) -> bool:
        """Return whether the peer wants no more of the answer to a message."""

    def is_quiet(self, seconds: float) -> bool:
        """Return whether the peer says nothing for so long."""

    def report(self, message: Message, event: EventReport, reported: Callable[[int | None], None]) -> None:
        """Send an event."""


class MessageResponder:
    """Answers one message of an association."""

    def __init__(self, association: Answers, message: Message, command: Command) -> None:
        self._association = association
        self._message = message
        self._command = command

    def respond(self, reply: Reply) -> None:
        """Send a response."""
        self._association.respond(self._message, self._command, reply)

    def is_cancelled(self) -> bool:
        """Return whether the peer wants no more of the answer."""
        return self._association.is_cancelled(self._message, self._command)

    def is_quiet(self, seconds: float) -> bool:
        """Return whether the peer says nothing for so long."""
        return self._association.is_quiet(seconds)

    def report(self, event: EventReport, reported: Callable[[int | None], None]) -> None:
        """Send an event."""
        self._association.report(self._message, event, reported)

    def takes(self) -> frozenset[Syntaxes]:
        """Return what the peer takes by sub-operations."""
        return frozenset(self._association.operations.contexts)

    def store(self, syntaxes: Syntaxes, sop_instance_uid: str, source: DataSetSource) -> None:
        """Send a sub-operation."""
        self._association.operations.store(syntaxes, sop_instance_uid, source)

    def stored(self, seconds: float) -> int | None:
        """Await its response."""
        status, is_cancelled = self._association.operations.stored(seconds, self._command.message_id)
        self._message.is_cancelled = self._message.is_cancelled or is_cancelled
        return status
