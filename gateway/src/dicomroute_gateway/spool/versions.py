"""The versions of an instance in the spool: which came first, and what that means for their destinations. Pure.

Instances of one SOP Instance UID (0008,0018) are versions of each other, whether their bytes are equal or not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from dicomroute_gateway.destination import Destination

from .deliveries import AWAITED
from .entries import Entry
from .records import Received


@dataclass(slots=True)
class Versions:
    """The entries of each SOP Instance UID, in the order in which they were accepted; `entries` are the ledger's own.

    Numbers are given out when an instance begins to come, so that they say little of that order.
    """

    entries: dict[int, Entry]
    _numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, received: Received) -> None:
        """Take note of the newest version of an instance."""
        uid = received.sop_instance_uid
        self._numbers[uid] = (*self._numbers.get(uid, ()), received.id)

    def remove(self, received: Received) -> None:
        """Take note that a version is not in the spool any more."""
        uid = received.sop_instance_uid
        rest = tuple(one for one in self._numbers[uid] if one != received.id)
        if rest:
            self._numbers[uid] = rest
        else:
            del self._numbers[uid]

    def sort(self, is_new: Callable[[int], bool]) -> None:
        """Put the versions that are new behind the others, once all are known; say of each whether it follows one."""
        for uid, versions in self._numbers.items():
            self._numbers[uid] = in_order = tuple(sorted(versions, key=is_new))
            for index, identifier in enumerate(in_order):
                entry = self.entries[identifier]
                if self.is_other(entry.received, in_order[:index]):
                    entry.received = replace(entry.received, follows=True)

    def numbers(self, sop_instance_uid: str) -> tuple[int, ...]:
        """Return the numbers of the versions of an instance."""
        return self._numbers.get(sop_instance_uid, ())

    def of(self, sop_instance_uid: str) -> list[Entry]:
        """Return the entries of an instance in the order in which they were accepted."""
        return [self.entries[one] for one in self._numbers.get(sop_instance_uid, ())]

    def equal_to(self, received: Received) -> Entry | None:
        """Return the newest entry of the same instance if it has the same bytes, in the same transfer syntax."""
        versions = self._numbers.get(received.sop_instance_uid)
        entry = self.entries[versions[-1]] if versions else None
        return entry if entry is not None and _bytes_of(entry.received) == _bytes_of(received) else None

    def is_behind(self, entry: Entry, destination: Destination) -> bool:
        """Return whether an earlier version of the instance is still to be delivered to this destination, or confirmed.

        One that is not confirmed may have to be sent again, and must not come after the later one then.
        """
        for identifier in self._numbers.get(entry.received.sop_instance_uid, ()):
            if identifier == entry.received.id:
                return False
            earlier = self.entries[identifier].deliveries.get(destination)
            if earlier is not None and earlier.state in AWAITED:
                return True
        return False

    def equal_before(self, received: Received) -> list[Entry]:
        """Return the entries of the same instance, and with the same bytes, that were accepted before this one."""
        versions = self._numbers.get(received.sop_instance_uid, ())
        earlier = versions[: versions.index(received.id)] if received.id in versions else ()
        entries = map(self.entries.__getitem__, earlier)
        return [entry for entry in entries if _bytes_of(entry.received) == _bytes_of(received)]

    def is_other(self, received: Received, identifiers: Iterable[int]) -> bool:
        """Return whether any of these entries has other bytes."""
        return any(_bytes_of(self.entries[one].received) != _bytes_of(received) for one in identifiers)

    def supersede(self, received: Received, destination: Destination) -> None:
        """Note with the earlier versions of an instance that a destination has got this one."""
        for identifier in self._numbers[received.sop_instance_uid]:
            if identifier == received.id:
                return
            entry = self.entries[identifier]
            if destination not in entry.received.superseded and _bytes_of(entry.received) != _bytes_of(received):
                entry.received = replace(entry.received, superseded=(*entry.received.superseded, destination))


def _bytes_of(received: Received) -> tuple[str, int, str, str]:
    """Return what is equal for instances of one SOP Instance UID that are the same in every byte."""
    return received.digest, received.length, received.transfer_syntax_uid, received.sop_class_uid
