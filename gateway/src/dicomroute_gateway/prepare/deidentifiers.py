"""De-identifies in processes of their own, bound in memory and time: this one parses nothing of an instance."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomroute_gateway.configuration.profile import Region
from dicomroute_gateway.reasons import Reason

from .children import Child, Pool
from .decoders import Decoders
from .deidentify.withheld import Withheld
from .failures import TranscodingFailed

_LEAST_SECONDS: Final = 60.0
_BYTES_A_SECOND: Final = 1 << 20
"""How slow it may be: a hundredth of what is measured."""
_LATER_SECONDS: Final = 5

Read = Callable[[int, int], bytes]
"""Returns bytes of a data set: offset, length."""


@dataclass(frozen=True, slots=True)
class Made:
    """What an instance becomes; `masked` are the regions of its pixels that are blackened."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    masked: tuple[Region, ...] = ()


Head = Callable[[Made], bytes]
"""Returns what stands before a data set."""


class Deidentifier(Child):
    """One process. For one thread at a time."""

    def __init__(self, process_bytes: int) -> None:
        super().__init__("dicomroute_gateway.prepare.deidentifier", process_bytes, 0)
        self._told = b""

    def begin(self, task: Mapping[str, Any], form: bytes) -> None:
        """Tell the process what to de-identify and by what, which it keeps in mind: it may be long. Raises OSError."""
        self.tell(task, b"" if form == self._told else form)
        self._told = form


class Deidentifiers(Pool[Deidentifier]):
    """Lends those processes. Safe to use from several threads."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        bounds = decoders.bounds
        super().__init__(lambda: Deidentifier(bounds.process_bytes), bounds.processes)

    def file(self, read: Read, length: int, transfer_syntax_uid: str, form: bytes, head: Head) -> Iterator[bytes]:
        """Yield the file of what a data set becomes: `head`, and the data set; `form` is that of a `Keyed`.

        What was yielded before something is raised is of no use then. Raises Withheld, also for what breaks the process
        or takes it too long, OSError, and what `read` raises.
        """
        seconds = _LEAST_SECONDS + length / _BYTES_A_SECOND
        task = {
            "length": length,
            "syntax": transfer_syntax_uid,
            "seconds": int(seconds) + _LATER_SECONDS,
            "frame_bytes": self._decoders.bounds.frame_bytes,
        }
        with self.lend() as one, one.patience(seconds):
            try:
                one.begin(task, form)
                withheld = yield from self._serve(one, read, head)
            except (BrokenPipeError, ConnectionError) as error:
                raise _broken() from error
        if withheld is not None:
            raise withheld

    def _serve(self, one: Deidentifier, read: Read, head: Head) -> Generator[bytes, None, Withheld | None]:
        """Answer what the process asks, and yield what it makes, until it has ended; return why there is nothing."""
        while (heard := one.hear()) is not None:
            said, body = heard
            match said["do"]:
                case "read":
                    one.tell({}, read(said["offset"], said["size"]))
                case "decode":
                    one.tell(*self._decoded(said, body))
                case "made":
                    yield head(_made(said))
                case "piece":
                    yield body
                case "end":
                    yield body
                    return None
                case _:
                    return Withheld(next(one for one in Reason if one == said["reason"]), said["message"])
        raise _broken()

    def _decoded(self, said: Mapping[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            with self._decoders.lend() as decoder:
                found = decoder.decode(said["syntax"], said["attributes"], frame)
        except TranscodingFailed as error:
            return {"error": str(error)}, b""
        return {
            "photometric_interpretation": found.photometric_interpretation,
            "planar_configuration": found.planar_configuration,
        }, found.pixels


def _made(said: Mapping[str, Any]) -> Made:
    masked = tuple(Region.model_validate(one) for one in said["masked"])
    return Made(said["sop_class_uid"], said["sop_instance_uid"], said["transfer_syntax_uid"], masked)


def _broken() -> Withheld:
    why = "it broke the process that de-identifies, or took it too much memory or time"
    return Withheld(Reason.TAKES_TOO_MUCH, why)
