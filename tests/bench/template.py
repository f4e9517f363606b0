"""What is sent: a data set up to its pixels, with places for UIDs of one length. Standard library alone."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = "2.25.1"
_DIGITS = 36


def uid(association: int, serial: int) -> bytes:
    """Return a UID of a fixed, even length, so that it can be patched in place (PS3.5 B.2)."""
    return f"{_ROOT}{association:012d}{serial:0{_DIGITS - 12}d}".encode()


INSTANCE_UID, STUDY_UID, SERIES_UID = (uid(10**12 - 1, one) for one in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Template:
    """Data sets of one kind: `head`, then `pixel_bytes` of pixels; it ends with the header of its Pixel Data."""

    sop_class_uid: str
    transfer_syntax_uid: str
    head: bytes
    pixel_bytes: int

    @property
    def length(self) -> int:
        return len(self.head) + self.pixel_bytes

    def write(self, file: Path) -> Path:
        file.write_text(json.dumps({**asdict(self), "head": base64.b64encode(self.head).decode()}))
        return file

    @staticmethod
    def read(file: Path) -> "Template":
        facts = json.loads(file.read_text())
        return Template(**{**facts, "head": base64.b64decode(facts["head"])})
