"""The seam between associations and what keeps instances: a `StorageService` makes a sink per C-STORE."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from .command import Status


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """What is known of an association; `identifier` follows its instances through logs and records."""

    identifier: str
    listener: str
    calling_ae_title: str
    called_ae_title: str
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One C-STORE request: which instance, and in which transfer syntax its data set comes."""

    association: AssociationFacts
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The answer to a C-STORE request; `comment` tells the sender why, without patient data.

    `instance` is the number that a refused instance had in the logs, if it had one already.
    """

    status: Status
    comment: str = ""
    instance: int | None = None


class StoreSink(Protocol):
    """Takes the data set of one C-STORE request, piece by piece, and then decides on the answer."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; the view is valid until `flush`, or the end of the message."""

    def flush(self) -> None:
        """Let go of all views: what is behind them is about to be overwritten."""

    def finish(self) -> StoreResult:
        """Return the answer once all bytes are there; a success means that the instance is safe."""

    def discard(self) -> None:
        """Forget the bytes: the data set will not be completed."""


class StorageService(Protocol):
    """Receives instances."""

    def has_room(self) -> bool:
        """Return whether an instance that came now would be taken."""

    def open(self, request: StoreRequest) -> StoreSink:
        """Return the sink for one instance. Never refuses: a refusal is the sink's answer."""
