"""The processes that decode frames, kept for the next instance and ended when they have nothing to do."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .decoder_messages import read_message, write_message
from .failures import DecoderDied, TranscodingFailed

_CGROUP_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")
_UNBOUNDED: Final = 1 << 40
_FRAME_SECONDS: Final = 60.0
_LATER_SECONDS: Final = 5
"""How much later a process ends by itself that this one should have ended."""
_IDLE_SECONDS: Final = 30.0


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


class Decoder:
    """One process. For one thread at a time."""

    def __init__(self, process_bytes: int) -> None:
        limits = [str(process_bytes), str(int(_FRAME_SECONDS) + _LATER_SECONDS)]
        command = [sys.executable, "-m", "dicomroute_gateway.prepare.decoder", *limits]
        # A session of its own: who stops the gateway stops no decoding in its midst.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def decode(self, transfer_syntax_uid: str, attributes: Mapping[str, int | str], frame: bytes) -> Frame:
        """Return the native form of a frame; `attributes` are those of the Image Pixel Module, as pydicom names them.

        Raises TranscodingFailed, DecoderDied.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        patience = threading.Timer(_FRAME_SECONDS, self._process.kill)
        patience.daemon = True
        patience.start()
        try:
            head = {"syntax": transfer_syntax_uid, "attributes": dict(attributes)}
            write_message(self._process.stdin, head, frame)
            answer = read_message(self._process.stdout)
        except OSError:
            answer = None
        finally:
            patience.cancel()
        if answer is None:
            self.end()
            raise DecoderDied("the pixels crashed the decoder, or needed too much memory or time")
        found, pixels = answer
        if "error" in found:
            raise TranscodingFailed(f"the pixels cannot be decoded: {found['error']}")
        return Frame(pixels, found["photometric_interpretation"], found["planar_configuration"])

    @property
    def is_running(self) -> bool:
        """Whether it can be used again."""
        return self._process.poll() is None

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what it was still to be told is of no use to anybody


class Decoders:
    """Lends decoders. Safe to use from several threads."""

    def __init__(self) -> None:
        self.bounds = bounds(memory_bytes())
        self._places = threading.BoundedSemaphore(self.bounds.processes)
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._ending: threading.Timer | None = None

    @contextmanager
    def lend(self) -> Iterator[Decoder]:
        """Lend one; wait where all are in use. Raises OSError when no process can be started."""
        with self._places:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            decoder = decoder if decoder is not None and decoder.is_running else Decoder(self.bounds.process_bytes)
            try:
                yield decoder
            except BaseException:
                decoder.end()
                raise
            with self._lock:
                self._idle.append(decoder)
                if self._ending is not None:
                    self._ending.cancel()
                self._ending = threading.Timer(_IDLE_SECONDS, self.end_idle)
                self._ending.daemon = True
                self._ending.start()

    def end_idle(self) -> None:
        """End those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.end()
