"""What a gateway and the process that decodes for it say to each other.

A message is a length of four bytes in big endian, JSON of that length, and as many bytes as the JSON says.
"""

import json
import struct
from typing import IO, Any, Final

_LENGTH: Final = struct.Struct(">I")


def write_message(stream: IO[bytes], head: dict[str, Any], body: bytes) -> None:
    """Write a request or an answer. Raises OSError."""
    text = json.dumps({**head, "bytes": len(body)}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.write(body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return a request or an answer; None at the end. Raises OSError, ValueError."""
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    head: dict[str, Any] = json.loads(stream.read(_LENGTH.unpack(start)[0]))
    body = stream.read(head["bytes"])
    return (head, body) if len(body) == head["bytes"] else None
