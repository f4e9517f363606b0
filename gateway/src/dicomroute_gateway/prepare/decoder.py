"""The process that decodes compressed frames: what a stranger's bytes do to a decoder, they do to it alone.

It answers requests from its standard input. It has bounds on memory, and on the time of a frame; it writes no file, and
is the first that a system without memory ends. It ends with its standard input: a gateway that was killed leaves none
behind for longer than one frame may take. (PR_SET_PDEATHSIG would end it with the thread that has started it, while
others use it.)
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from .decoder_messages import read_message, write_message


def decode(head: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the native form of a frame, and the photometric interpretation and planar configuration that it is in.

    `head` has the transfer syntax and the attributes of the Image Pixel Module by the names that pydicom has for them.
    """
    attributes = head["attributes"]
    decoder = get_decoder(head["syntax"])
    plugin = "pydicom" if head["syntax"] == RLELossless else "gdcm"
    pixels, found = decoder.as_buffer(
        encapsulate([frame]), raw=True, decoding_plugin=plugin, number_of_frames=1, **attributes
    )
    photometric = str(found["photometric_interpretation"])
    if found["bits_allocated"] != attributes["bits_allocated"]:
        raise ValueError(
            f"its samples have {found['bits_allocated']} bits, and {attributes['bits_allocated']} are said"
        )
    samples = attributes["samples_per_pixel"]
    if photometric == "YBR_FULL_422" and len(pixels) == attributes["rows"] * attributes["columns"] * samples:
        photometric = "YBR_FULL"  # the decoder gives every pixel its own colour
    planar = found.get("planar_configuration") if samples > 1 else None
    return {"photometric_interpretation": photometric, "planar_configuration": planar}, bytes(pixels)


def bound(process_bytes: int) -> tuple[IO[bytes], IO[bytes]]:
    """Bound this process in memory, and let it write no file; return where requests come from and answers go to."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # decoders print what they think of a frame
        os.dup2(nowhere, descriptor)
    for what, most in (
        (resource.RLIMIT_AS, process_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    return requests, answers


def main() -> None:
    """Answer until standard input ends."""
    frame_seconds = int(sys.argv[2])
    requests, answers = bound(int(sys.argv[1]))
    while message := read_message(requests):
        signal.alarm(frame_seconds)  # whose default is to end the process, whatever a library is about
        try:
            head, body = decode(*message)
        except Exception as error:
            head, body = {"error": f"{type(error).__name__}: {error}"[:500]}, b""
        signal.alarm(0)
        write_message(answers, head, body)


if __name__ == "__main__":
    main()
