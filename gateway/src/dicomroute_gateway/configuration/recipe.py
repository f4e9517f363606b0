"""What is made of an instance before it is sent: steps in order, named by a digest of their canonical form. Pure.

Two destinations may get two forms of one instance. What is made is kept by instance *and* recipe, so that none of them
is ever handed the bytes of the other.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Transcode:
    """The same data set in another transfer syntax (PS3.5 10.1), by its UID."""

    transfer_syntax_uid: str


Step = Transcode


@dataclass(frozen=True)
class Recipe:
    """Steps, the first one first. One without a step is that of an instance that is sent as it came."""

    steps: tuple[Step, ...] = ()

    @cached_property
    def id(self) -> str:
        """The first 64 bits of the SHA-256 of its canonical form, in hexadecimal; "" without a step."""
        if not self.steps:
            return ""
        form = [{"step": type(step).__name__, **asdict(step)} for step in self.steps]
        return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
