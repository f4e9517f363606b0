"""Writes a data set with compressed pixels as a native one (PS3.5 A.4, annex A.1 and A.2), a frame at a time.

For destinations that take native transfer syntaxes alone. Samples are those that the decoder gives; Photometric
Interpretation and Planar Configuration say in which form, and lossy images keep their history (PS3.3 C.7.6.1.1.5).
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from pydicom.datadict import tag_for_keyword
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset

from .decoders import Decoder, Decoders, Frame
from .transcode import EXPLICIT_VR_LITTLE_ENDIAN, Pixels, TranscodingFailed, transcode

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

_PIXEL_DATA: Final = 0x7FE00010
_MOST_FRAME_BYTES: Final = 256 << 20
_MOST_READS: Final = 10_000_000
_MOST_PIXEL_BYTES: Final = 0xFFFFFFFE
"""What the length of a native Pixel Data can say (PS3.5 7.1)."""
_ATTRIBUTES: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "LossyImageCompression",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
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

    def attributes(self) -> dict[str, int | str]:
        """Return what a decoder has to know, as pydicom names it."""
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
            found["planar_configuration"] = self.planar_configuration or 0
        return found


def decompress(
    open_data_set: Callable[[], io.BufferedReader], length: int, source: str, target: str, decoders: Decoders
) -> Iterator[bytes]:
    """Yield a data set of `length` bytes, with pixels in `source`, in a native transfer syntax.

    `open_data_set` returns a file that begins with the data set; it is read twice. Raises TranscodingFailed, OSError,
    and what reading raises.
    """
    image = _image(open_data_set())
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


def _image(file: io.BufferedReader) -> _Image | None:
    """Return what a data set says of its pixels, None where it has none. Raises TranscodingFailed, OSError."""
    try:
        found = read_dataset(
            _Bounded(file),  # type: ignore[arg-type]
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag == _PIXEL_DATA,
            specific_tags=list(map(tag_for_keyword, _ATTRIBUTES)),  # type: ignore[arg-type]
        )
        at = file.tell()
        header = file.read(12)
        if header[:4] != b"\xe0\x7f\x10\0":
            return None
        image = _Image(
            pixels_at=at + 12,
            frames=int(found.get("NumberOfFrames") or 1),
            rows=int(found.Rows),
            columns=int(found.Columns),
            samples_per_pixel=int(found.SamplesPerPixel),
            bits_allocated=int(found.BitsAllocated),
            bits_stored=int(found.BitsStored),
            pixel_representation=int(found.PixelRepresentation),
            photometric_interpretation=str(found.PhotometricInterpretation),
            planar_configuration=None if found.get("PlanarConfiguration") is None else int(found.PlanarConfiguration),
            says_lossy=bool(found.get("LossyImageCompression")),
            offsets=(found.ExtendedOffsetTable, found.ExtendedOffsetTableLengths)
            if found.get("ExtendedOffsetTable") and found.get("ExtendedOffsetTableLengths")
            else None,
        )
    except (TranscodingFailed, OSError):
        raise
    except Exception as error:  # whatever the parser makes of a stranger's bytes
        raise TranscodingFailed(f"its image attributes cannot be read: {error}") from error
    if header[8:] != b"\xff\xff\xff\xff":
        raise TranscodingFailed("it has no encapsulated pixels")
    if image.bits_allocated not in (8, 16, 32) or image.frames < 1 or image.samples_per_pixel not in (1, 3):
        raise TranscodingFailed("its image attributes are such as no decoder takes")
    if not 0 < image.frame_bytes <= _MOST_FRAME_BYTES:
        raise TranscodingFailed(f"a frame of {image.frame_bytes} bytes is longer than {_MOST_FRAME_BYTES}, or empty")
    if image.frame_bytes * image.frames > _MOST_PIXEL_BYTES:
        raise TranscodingFailed("its pixels are longer in native form than a length can say")
    return image


def _frames(file: io.BufferedReader, image: _Image, source: str, decoder: Decoder) -> Iterator[Frame]:
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
        decoded = decoder.decode(source, image.attributes(), frame)
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
        if not 0 <= size <= _MOST_FRAME_BYTES or self._reads > _MOST_READS:
            raise TranscodingFailed("a value of it is too long to be read at once, or it has too many")
        return self._file.read(size)
