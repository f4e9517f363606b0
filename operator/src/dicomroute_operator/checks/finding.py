"""What a check finds, and how chains of checks are run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dicomroute_operator.api.conditions import NEGATIVE
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.reason import Reason


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition of one object: which, its status, why, where in the manifest, and what to do."""

    kind: str
    name: str
    reason: Reason
    status: bool
    message: str
    field: str = ""

    @property
    def type(self) -> str:
        """The condition type."""
        return self.reason.condition_type

    @property
    def is_fault(self) -> bool:
        """Whether the object does not do what its manifest says until somebody mends it."""
        return not self.status and type(self.reason) not in NEGATIVE

    @property
    def is_warning(self) -> bool:
        """Whether somebody should look, although everything works."""
        return self.status and type(self.reason) in NEGATIVE


T = TypeVar("T")
Check = Callable[[T], Iterator[Finding]]


def run_chain(chain: Sequence[Check[T]], inputs: T) -> list[Finding]:
    """Return all findings of a chain of checks, in its order."""
    return [finding for check in chain for finding in check(inputs)]


def route_fault(inputs: RouteInputs, reason: Reason, field: str, message: str) -> Finding:
    """Return what a route does not do as its manifest says, and what to do about it."""
    return Finding("DicomRoute", inputs.route.metadata.name, reason, False, message, field)
