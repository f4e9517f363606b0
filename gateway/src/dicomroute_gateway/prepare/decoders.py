"""The processes that decode frames, kept for the next instance and ended when they have nothing to do."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .children import Child, Pool
from .failures import DecoderDied, TranscodingFailed

_CGROUP_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")
_UNBOUNDED: Final = 1 << 40
_FRAME_SECONDS: Final = 60.0
_LATER_SECONDS: Final = 5
"""How much later a process ends by itself that this one should have ended."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A native frame, and the form that it is in (PS3.3 C.7.6.3.1.2 and C.7.6.3.1.3)."""

    pixels: bytes
    photometric_interpretation: str
    planar_configuration: int | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What decoding may take of the memory that this process has been given, in bytes."""

    processes: int
    process_bytes: int
    frame_bytes: int


def bounds(memory_bytes: int) -> Bounds:
    """Return the bounds where so much memory is there for everything: a pod's limit counts decoders in."""
    return Bounds(
        processes=2 if memory_bytes > 2 << 30 else 1,
        process_bytes=max(768 << 20, min(2 << 30, memory_bytes // 2)),
        frame_bytes=max(16 << 20, min(256 << 20, memory_bytes // 16)),
    )


def memory_bytes() -> int:
    """Return how much memory this process and its children may use (cgroup v2)."""
    try:
        return int(_CGROUP_MEMORY.read_text())
    except (OSError, ValueError):  # no such group, or no limit
        return _UNBOUNDED


class DecodesFrames(Protocol):
    """Decodes frames."""

    def decode(self, transfer_syntax_uid: str, attributes: Mapping[str, int | str], frame: bytes) -> Frame:
        """Return the native form of a frame, as `Decoder.decode` does."""


class LendsDecoders(Protocol):
    """Lends what decodes frames."""

    bounds: Bounds

    def lend(self) -> AbstractContextManager[DecodesFrames]:
        """Lend one, as `Decoders.lend` does."""


class Decoder(Child):
    """One process. For one thread at a time."""

    def __init__(self, process_bytes: int) -> None:
        super().__init__("dicomroute_gateway.prepare.decoder", process_bytes, int(_FRAME_SECONDS) + _LATER_SECONDS)

    def decode(self, transfer_syntax_uid: str, attributes: Mapping[str, int | str], frame: bytes) -> Frame:
        """Return the native form of a frame; `attributes` are those of the Image Pixel Module, as pydicom names them.

        Raises TranscodingFailed, DecoderDied.
        """
        try:
            with self.patience(_FRAME_SECONDS):
                self.tell({"syntax": transfer_syntax_uid, "attributes": dict(attributes)}, frame)
                answer = self.hear()
        except OSError:
            answer = None
        if answer is None:
            self.end()
            raise DecoderDied("the pixels crashed the decoder, or needed too much memory or time")
        found, pixels = answer
        if "error" in found:
            raise TranscodingFailed(f"the pixels cannot be decoded: {found['error']}")
        return Frame(pixels, found["photometric_interpretation"], found["planar_configuration"])


class Decoders(Pool[Decoder]):
    """Lends decoders. Safe to use from several threads."""

    def __init__(self) -> None:
        self.bounds = bounds(memory_bytes())
        super().__init__(lambda: Decoder(self.bounds.process_bytes), self.bounds.processes)
