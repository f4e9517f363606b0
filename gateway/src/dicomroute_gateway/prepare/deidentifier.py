"""The process that de-identifies: what a stranger's bytes do to the one who parses them, they do to it alone.

It is bound in memory, as the one that decodes is, and by the time of an instance, and runs behind whoever receives. It
asks for the bytes of the instance as it needs them, and for frames to be decoded; what it makes goes back in pieces.
"""

import io
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Final

from dicomroute_gateway.reasons import Reason

from .decoder import bound
from .decoder_messages import read_message, write_message
from .decoders import Bounds, Frame
from .deidentify.instance import deidentify
from .deidentify.plan import Plan
from .deidentify.withheld import Withheld
from .elements import BLOCK_BYTES
from .failures import TranscodingFailed
from .keyed import keyed_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_NICE: Final = 5


class AskingProcess:
    """The process that has asked, as the one to ask. It also lends the decoder that it has."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes], frame_bytes: int) -> None:
        self._requests = requests
        self._answers = answers
        self.bounds = Bounds(1, 0, frame_bytes)

    def tell(self, body: bytes = b"", **head: Any) -> None:
        """Send a message."""
        write_message(self._answers, head, body)

    def ask(self, body: bytes = b"", **head: Any) -> tuple[dict[str, Any], bytes]:
        """Send a message and return what is answered; the process ends where nobody answers any more."""
        self.tell(body, **head)
        answer = read_message(self._requests)
        if answer is None:
            sys.exit(0)
        return answer

    @contextmanager
    def lend(self) -> Iterator["AskingProcess"]:
        """Lend itself."""
        yield self

    def decode(self, transfer_syntax_uid: str, attributes: Mapping[str, int | str], frame: bytes) -> Frame:
        """Return the native form of a frame, as `Decoder.decode` does. Raises TranscodingFailed."""
        head, pixels = self.ask(frame, do="decode", syntax=transfer_syntax_uid, attributes=dict(attributes))
        if "error" in head:
            raise TranscodingFailed(head["error"])
        return Frame(pixels, head["photometric_interpretation"], head["planar_configuration"])


class _Instance(io.RawIOBase):
    """The data set of the instance, read from the gateway."""

    def __init__(self, gateway: AskingProcess, length: int) -> None:
        super().__init__()
        self._gateway = gateway
        self._length = length
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._length}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._length - self._offset)
        if size <= 0:
            return 0
        _, data = self._gateway.ask(do="read", offset=self._offset, size=size)
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)


@lru_cache(8)
def _plan(form: bytes) -> Plan:
    return keyed_of(form).plan()


def _answer(head: dict[str, Any], form: bytes, gateway: AskingProcess) -> None:
    """De-identify one instance, and say how that ended."""
    length = head["length"]

    def data_set() -> io.BufferedReader:
        return io.BufferedReader(_Instance(gateway, length), BLOCK_BYTES)

    try:
        made = deidentify(data_set, length, head["syntax"], _plan(form), gateway)
        gateway.tell(
            do="made",
            sop_class_uid=made.sop_class_uid,
            sop_instance_uid=made.sop_instance_uid,
            series_instance_uid=made.series_instance_uid,
            study_instance_uid=made.study_instance_uid,
            transfer_syntax_uid=made.transfer_syntax_uid,
            masked=[one.model_dump() for one in made.masked],
        )
        waiting = bytearray()
        for piece in made.pieces:
            waiting += piece
            if len(waiting) >= BLOCK_BYTES:
                gateway.tell(bytes(waiting), do="piece")
                waiting.clear()
        gateway.tell(bytes(waiting), do="end")
    except Withheld as error:
        gateway.tell(do="withheld", reason=error.reason, message=str(error))
    except (MemoryError, RecursionError):
        gateway.tell(do="withheld", reason=Reason.TAKES_TOO_MUCH, message="it takes more memory than an instance may")
    except TranscodingFailed as error:
        gateway.tell(do="withheld", reason=Reason.CANNOT_BE_READ, message=str(error))
    except Exception as error:  # nothing that is not understood is passed
        message = f"de-identifying failed ({type(error).__name__})"  # its text may have a value of the instance
        gateway.tell(do="withheld", reason=Reason.CANNOT_BE_READ, message=message)


def main() -> None:
    """De-identify until standard input ends."""
    requests, answers = bound(int(sys.argv[1]))
    os.nice(_NICE)
    form = b""
    while message := read_message(requests):
        head, told = message
        form = told or form
        signal.alarm(int(head["seconds"]))  # whose default is to end the process, whatever it is about
        _answer(head, form, AskingProcess(requests, answers, head["frame_bytes"]))
        signal.alarm(0)


if __name__ == "__main__":
    main()
