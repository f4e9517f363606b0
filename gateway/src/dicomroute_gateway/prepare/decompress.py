"""Writes a data set with compressed pixels as a native one (PS3.5 A.4, annex A.1 and A.2), a frame at a time.

For destinations that take native transfer syntaxes alone. Samples are those that the decoder gives; Photometric
Interpretation and Planar Configuration say in which form, and lossy images keep their history (PS3.3 C.7.6.1.1.5).
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pydicom.encaps import generate_frames

from .decoders import DecodesFrames, Frame, LendsDecoders
from .elements import top_level
from .failures import TranscodingFailed
from .transcode import EXPLICIT_VR_LITTLE_ENDIAN, Pixels, transcode

_JPEG_LOSSY: Final = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
DECODED: Final = frozenset(
    (
        *_JPEG_LOSSY,
        "1.2.840.10008.1.2.4.57",  # JPEG Lossless
        "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
        "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
        "1.2.840.10008.1.2.4.91",  # JPEG 2000
        "1.2.840.10008.1.2.5",  # RLE Lossless
    )
)
"""Transfer syntaxes that there is a decoder for."""

_JPEG_LS_AND_RLE: Final = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.5")
_MOST_VALUE_BYTES: Final = 1 << 20
_MOST_READ_BYTES: Final = 256 << 20
_MOST_READS: Final = 10_000_000
_MOST_PIXEL_BYTES: Final = 0xFFFFFFFE
"""What the length of a native Pixel Data can say (PS3.5 7.1)."""
_SAMPLES_PER_PIXEL: Final = 0x00280002
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_NUMBER_OF_FRAMES: Final = 0x00280008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011
_BITS_ALLOCATED: Final = 0x00280100
_BITS_STORED: Final = 0x00280101
_PIXEL_REPRESENTATION: Final = 0x00280103
_LOSSY_IMAGE_COMPRESSION: Final = 0x00282110
_EXTENDED_OFFSETS: Final = (0x7FE00001, 0x7FE00002)
_WANTED: Final = frozenset(
    (
        _SAMPLES_PER_PIXEL,
        _PHOTOMETRIC_INTERPRETATION,
        _PLANAR_CONFIGURATION,
        _NUMBER_OF_FRAMES,
        _ROWS,
        _COLUMNS,
        _BITS_ALLOCATED,
        _BITS_STORED,
        _PIXEL_REPRESENTATION,
        _LOSSY_IMAGE_COMPRESSION,
        *_EXTENDED_OFFSETS,
    )
)


class _File(Protocol):
    """What of a file the parsers use."""

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """Return the place."""


@dataclass(frozen=True, slots=True)
class _Image:
    """What the Image Pixel Module of a data set says, and where its Pixel Data has its first item."""

    pixels_at: int
    frames: int
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int | None
    says_lossy: bool
    offsets: tuple[bytes, bytes] | None

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8

    def attributes(self, source: str) -> dict[str, int | str]:
        """Return what a decoder of a transfer syntax has to know, as pydicom names it."""
        found: dict[str, int | str] = {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples_per_pixel,
            "bits_allocated": self.bits_allocated,
            "bits_stored": self.bits_stored,
            "pixel_representation": self.pixel_representation,
            "photometric_interpretation": self.photometric_interpretation,
            "pixel_keyword": "PixelData",
        }
        if self.samples_per_pixel > 1:
            # Frames of JPEG and JPEG 2000 come by pixel, whatever the data set says.
            found["planar_configuration"] = (self.planar_configuration or 0) if source in _JPEG_LS_AND_RLE else 0
        return found


def decompress(
    open_data_set: Callable[[], io.BufferedReader], length: int, source: str, target: str, decoders: LendsDecoders
) -> Iterator[bytes]:
    """Yield a data set of `length` bytes, with pixels in `source`, in a native transfer syntax.

    `open_data_set` returns a file that begins with the data set; it is read twice. Raises TranscodingFailed, OSError,
    and what reading raises.
    """
    image = _image(open_data_set(), length, decoders.bounds.frame_bytes)
    if image is None:  # an instance without pixels is in no compressed form, whatever its syntax is called
        yield from transcode(open_data_set(), length, EXPLICIT_VR_LITTLE_ENDIAN, target)
        return
    with decoders.lend() as decoder:
        frames = _frames(open_data_set(), image, source, decoder)
        first = next(frames, None)
        if first is None:
            raise TranscodingFailed("it has no frame")
        pixels = Pixels(
            image.frame_bytes * image.frames,
            "OB" if image.bits_allocated <= 8 else "OW",
            _changes(image, first, source),
            _joined(first, frames, image),
        )
        yield from transcode(open_data_set(), length, EXPLICIT_VR_LITTLE_ENDIAN, target, pixels)


def _image(file: io.BufferedReader, length: int, most_frame_bytes: int) -> _Image | None:
    """Return what a data set says of its pixels, None where it has none. Raises TranscodingFailed, OSError."""
    found, pixels_at = top_level(file, length, _WANTED, _MOST_VALUE_BYTES)
    if pixels_at is None:
        return None
    try:
        offsets = tuple(found[one] for one in _EXTENDED_OFFSETS if found.get(one))
        image = _Image(
            pixels_at=pixels_at,
            frames=int(found.get(_NUMBER_OF_FRAMES, b"1").strip(b" \0") or 1),
            rows=_number(found, _ROWS),
            columns=_number(found, _COLUMNS),
            samples_per_pixel=_number(found, _SAMPLES_PER_PIXEL),
            bits_allocated=_number(found, _BITS_ALLOCATED),
            bits_stored=_number(found, _BITS_STORED),
            pixel_representation=_number(found, _PIXEL_REPRESENTATION),
            photometric_interpretation=found[_PHOTOMETRIC_INTERPRETATION].strip(b" \0").decode("ascii"),
            planar_configuration=_number(found, _PLANAR_CONFIGURATION) if _PLANAR_CONFIGURATION in found else None,
            says_lossy=bool(found.get(_LOSSY_IMAGE_COMPRESSION)),
            offsets=(offsets[0], offsets[1]) if len(offsets) == 2 else None,
        )
    except (ValueError, KeyError) as error:
        raise TranscodingFailed(f"its image attributes cannot be read: {error}") from error
    if image.bits_allocated not in (8, 16, 32) or image.frames < 1 or image.samples_per_pixel not in (1, 3):
        raise TranscodingFailed("its image attributes are such as no decoder takes")
    if not 0 < image.frame_bytes <= most_frame_bytes:
        raise TranscodingFailed(f"a frame of {image.frame_bytes} bytes is longer than {most_frame_bytes}, or empty")
    if image.frame_bytes * image.frames > _MOST_PIXEL_BYTES:
        raise TranscodingFailed("its pixels are longer in native form than a length can say")
    if image.offsets is not None and len(image.offsets[0]) > 8 * image.frames:
        raise TranscodingFailed("its offset table has more frames than the image")
    return image


def _number(found: Mapping[int, bytes], tag: int) -> int:
    """Return the value of a US. Raises ValueError, KeyError."""
    value = found[tag]
    if len(value) != 2:
        raise ValueError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has {len(value)} bytes")
    return int.from_bytes(value, "little")


def _frames(file: io.BufferedReader, image: _Image, source: str, decoder: DecodesFrames) -> Iterator[Frame]:
    """Yield the native frames."""
    file.seek(image.pixels_at)
    encoded = generate_frames(
        _Bounded(file),
        number_of_frames=image.frames,
        extended_offsets=image.offsets,
    )
    while True:
        try:
            frame = next(encoded, None)
        except (TranscodingFailed, OSError):
            raise
        except Exception as error:  # whatever the parser makes of a stranger's bytes
            raise TranscodingFailed(f"its frames cannot be told apart: {error}") from error
        if frame is None:
            return
        decoded = decoder.decode(source, image.attributes(source), frame)
        if len(decoded.pixels) != image.frame_bytes:
            raise TranscodingFailed(f"a frame has {len(decoded.pixels)} bytes in place of {image.frame_bytes}")
        yield decoded


def _joined(first: Frame, others: Iterator[Frame], image: _Image) -> Iterator[bytes]:
    """Yield the bytes of all frames, which have to be of one form and as many as the image says."""
    yield first.pixels
    count = 1
    form = (first.photometric_interpretation, first.planar_configuration)
    for one in others:
        count += 1
        if count > image.frames:
            raise TranscodingFailed(f"it has more frames than the {image.frames} that it says")
        if (one.photometric_interpretation, one.planar_configuration) != form:
            raise TranscodingFailed("its frames are of different forms")
        yield one.pixels
    if count != image.frames:
        raise TranscodingFailed(f"it has {count} frames and says {image.frames}")


def _changes(image: _Image, first: Frame, source: str) -> dict[int, tuple[str, bytes] | None]:
    """Return the elements that are written in place of those that came, by tag; None leaves one out."""
    changes: dict[int, tuple[str, bytes] | None] = dict.fromkeys((0x7FE00001, 0x7FE00002, 0x7FE00003))
    if first.photometric_interpretation != image.photometric_interpretation:
        text = first.photometric_interpretation.encode()
        changes[0x00280004] = ("CS", text + b" " * (len(text) % 2))
    if first.planar_configuration is not None:
        changes[0x00280006] = ("US", first.planar_configuration.to_bytes(2, "little"))
    if source in _JPEG_LOSSY and not image.says_lossy:
        changes[0x00282110] = ("CS", b"01")
    return changes


class _Bounded:
    """A file of which nobody reads too much at a time, nor too often: what a length says is a stranger's word."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._reads = 0
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes. Raises TranscodingFailed for too many."""
        self._reads += 1
        if not 0 <= size <= _MOST_READ_BYTES or self._reads > _MOST_READS:
            raise TranscodingFailed("a value of it is too long to be read at once, or it has too many")
        return self._file.read(size)
