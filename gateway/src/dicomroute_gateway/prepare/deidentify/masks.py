"""Blackens regions of native pixels, and clears bits that hold overlays, in a stream (PS3.5 8, PS3.3 C.7.6.3). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.configuration.profile import Region
from dicomroute_gateway.reasons import Reason

from .subject import Subject
from .withheld import Withheld

_WHOLE_SAMPLES: Final = frozenset(
    ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT")
)
_MOST_FRAME_BYTES: Final = 256 << 20
_BLACK: Final = {"YBR_FULL": (0, 128, 128), "YBR_ICT": (0, 128, 128), "YBR_RCT": (0, 128, 128)}


@dataclass(frozen=True, slots=True)
class Masks:
    """What is done to the pixels of one instance: a frame at a time, each like the other."""

    rows: int
    columns: int
    samples: int
    sample_bytes: int
    is_planar: bool
    photometric: str
    regions: tuple[Region, ...]
    kept_bits: int

    @property
    def _frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples * self.sample_bytes

    def blocks(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield pixels with what is masked. Raises Withheld when they are no whole frames."""
        frame = bytearray()
        size = self._frame_bytes
        count = 0
        for block in blocks:
            frame += block
            while len(frame) >= size:
                yield self._masked(frame[:size])
                del frame[:size]
                count += 1
        if len(frame) > 1 or not count:
            raise Withheld(Reason.CANNOT_BE_MASKED, "its pixels are not as many as Rows and Columns say")
        yield bytes(frame)  # what makes the length even

    def _masked(self, frame: bytearray) -> bytes:
        if self.kept_bits:
            kept = self.kept_bits.to_bytes(self.sample_bytes, "little") * (len(frame) // self.sample_bytes)
            frame = bytearray((int.from_bytes(frame, "big") & int.from_bytes(kept, "big")).to_bytes(len(frame), "big"))
        planes = self.samples if self.is_planar else 1
        step = self.sample_bytes if self.is_planar else self.sample_bytes * self.samples
        black = _BLACK.get(self.photometric, (0,) * self.samples)
        for region in self.regions:
            left, right = min(region.left, self.columns), min(region.left + region.width, self.columns)
            top, bottom = min(region.top, self.rows), min(region.top + region.height, self.rows)
            if left >= right:
                continue
            for plane in range(planes):
                values = black[plane : plane + 1] if self.is_planar else black
                line = b"".join(one.to_bytes(self.sample_bytes, "little") for one in values) * (right - left)
                for row in range(top, bottom):
                    at = ((plane * self.rows + row) * self.columns + left) * step
                    frame[at : at + len(line)] = line
        return bytes(frame)


def masks_of(subject: Subject, regions: tuple[Region, ...], photometric: str, planar: int | None) -> Masks | None:
    """Return what is done to native pixels, None if nothing is.

    `photometric` and `planar` are those of the pixels as they are read, which may have been decoded. Raises Withheld
    for pixels of a form that has no rectangles in bytes.
    """
    bits = subject.number(0x00280100)
    stored, high = subject.number(0x00280101), subject.number(0x00280102)
    embedded = [bit for bit in subject.overlay_bits if bit < bits and not high - stored < bit <= high]
    if not regions and not embedded:
        return None
    masks = Masks(
        subject.number(0x00280010),
        subject.number(0x00280011),
        subject.number(0x00280002) or 1,
        bits // 8,
        planar == 1,
        photometric,
        regions,
        ((1 << bits) - 1 & ~sum(1 << bit for bit in embedded)) if embedded else 0,
    )
    size = masks.rows * masks.columns * masks.samples * masks.sample_bytes
    if bits not in (8, 16, 32) or photometric not in _WHOLE_SAMPLES or not 0 < size <= _MOST_FRAME_BYTES:
        raise Withheld(
            Reason.CANNOT_BE_MASKED,
            f"pixels of {bits} bits in {photometric or 'no Photometric Interpretation'} cannot be masked",
        )
    return masks
