"""What a gateway and the process that decodes for it say to each other.

A message is a length of four bytes in big endian, JSON of that length, and as many bytes as the JSON says.
"""

import json
import struct
from typing import IO, Any, Final

_LENGTH: Final = struct.Struct(">I")
_MOST_HEAD_BYTES: Final = 1 << 20
_MOST_BODY_BYTES: Final = 512 << 20


def write_message(stream: IO[bytes], head: dict[str, Any], body: bytes) -> None:
    """Write a request or an answer. Raises OSError."""
    text = json.dumps({**head, "bytes": len(body)}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.write(body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return a request or an answer; None at the end, and for what is none. Raises OSError."""
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(start)[0]
    if length > _MOST_HEAD_BYTES:
        return None
    try:
        head = json.loads(stream.read(length))
        size = int(head["bytes"])
    except (ValueError, KeyError, TypeError):
        return None
    if not 0 <= size <= _MOST_BODY_BYTES:
        return None
    body = stream.read(size)
    return (head, body) if len(body) == size else None
