"""A corpus with its answer key: every identifier is a word that is nowhere else, and is known by its bytes.

Words begin with QZX; dates are of the years from 1931 on; times have the hour 03:13:37; UIDs have a root of their own.
What is clinical is none of these, so that one look at the bytes of a result says what is left.
"""

import datetime
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.encaps import generate_frames

from .encoding import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, file_of

SECOND = json.loads((Path(__file__).parents[2] / "golden/deidentification/second_source.json").read_text())["rows"]
ROOT = "1.2.826.0.1.3680043.9.7777."
STORAGE = "1.2.840.10008.5.1.4.1.1."
FILES = Path(pydicom.__file__).parent / "data" / "test_files"

PLAIN = (
    *("1", "1.1", "1.1.1", "1.2", "1.3", "2", "2.1", "4", "4.1", "4.2", "12.1", "12.1.1", "12.2", "12.2.1", "13.1.1"),
    *("13.1.3", "14.1", "20", "30", "66.1", "66.2", "66.4", "66.5", "67", "128", "130", "481.1", "481.2", "481.3"),
    *("481.5", "481.8", "77.1.5.4"),
)
REPORTS = ("88.11", "88.22", "88.33", "88.67")
SHOWN = ("7", "6.1", "3.1", "77.1.4")
DOCUMENTS = ("104.1", "9.1.1", "66", "11.1")

CHARACTER_SETS = (
    (b"", "ascii", "Qzx{}"),
    (b"ISO_IR 100", "latin-1", "Qzx{}äß"),
    (b"ISO_IR 101", "iso8859_2", "Qzx{}ąč"),
    (b"ISO_IR 144", "iso8859_5", "Qzx{}юж"),
    (b"ISO_IR 126", "iso8859_7", "Qzx{}ψω"),
    (b"ISO_IR 127", "iso8859_6", "Qzx{}بت"),
    (b"ISO_IR 138", "iso8859_8", "Qzx{}של"),
    (b"ISO_IR 148", "iso8859_9", "Qzx{}ğş"),
    (b"ISO_IR 192", "utf-8", "Qzx{}山田"),
    (b"GB18030", "gb18030", "Qzx{}王小"),
    (b"\\ISO 2022 IR 87", "iso2022_jp", "Qzx{}山田"),
    (b"\\ISO 2022 IR 149", "", "Qzx{}"),
)
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "AE")
_UNLISTED = (
    *(0x00280A04, 0x00281055, 0x00283003, 0x0040A160, 0x00620006, 0x00700081, 0x30020004, 0x30040006, 0x300A00C2),
    *(0x00189433, 0x00209453, 0x00420010, 0x00080108, 0x00081190, 0x00660004, 0x00820033, 0x0008010E, 0x00640F10),
)
"""Attributes of text that the table has no row for; the last ones are not in the dictionary at all."""
_NESTED = (0x00081110, 0x00081140, 0x00082112, 0x00081115, 0x00540016, 0x00321064, 0x52009229, 0x00089121)


@dataclass(frozen=True)
class Planted:
    """One identifier: where it is (tags from the top), and the bytes that it is known by, in lower case."""

    path: tuple[int, ...]
    forms: tuple[bytes, ...]


@dataclass
class Instance:
    """One file, what is planted in it, and what has to stay as it is."""

    name: str
    sop_class: str
    syntax: str
    patient: int
    elements: list[Element] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    uids: set[str] = field(default_factory=set)
    dates: dict[tuple[int, ...], str] = field(default_factory=dict)
    clinical: dict[int, bytes] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()
    burned_in: tuple[int, int, int, int] | None = None
    content: bytes = b""


class Planter:
    """Makes the corpus. The same seed gives the same bytes."""

    def __init__(self, seed: int = 0) -> None:
        self._numbers = count(seed * 100_000)
        self._plain = [tag for tag in sorted(SECOND) if self._is_plantable(tag)]
        self._at = 0

    @staticmethod
    def _is_plantable(tag: str) -> bool:
        """Whether an attribute of the table can have a word, a date or a UID in it: no group mask, no sequence."""
        if "X" in tag or tag.startswith(("0000", "0002", "0004", "GGGG", "FFF", "0010")):
            return False
        try:
            return dictionary_VR(int(tag, 16)) in (*_TEXT, "DA", "DT", "TM", "UI")
        except KeyError:
            return False

    def corpus(self, copies: int = 2) -> list[Instance]:
        """Return instances of all SOP classes, `copies` of each."""
        made = []
        for copy in range(copies):
            for number, one in enumerate((*PLAIN, *REPORTS, *SHOWN, *DOCUMENTS)):
                made.append(self._instance(one, number + copy * 7, copy))
        return made

    def _word(self, form: str = "Qzx{}") -> str:
        number, letters = next(self._numbers), ""
        for _ in range(5):
            number, letter = divmod(number, 20)
            letters += "bcdfghjklmnpqrstvwxz"[letter]
        return form.format(letters)

    def _plant(self, one: Instance, path: tuple[int, ...], vr: str, codec: tuple[bytes, str, str]) -> Element:
        """Return an element whose value identifies somebody, and note it."""
        if vr == "UI":
            uid = f"{ROOT}{next(self._numbers)}"
            one.uids.add(uid)
            one.planted.append(Planted(path, (uid.encode(),)))
            return path[-1], vr, uid.encode()
        if vr in ("DA", "DT", "TM"):
            number = next(self._numbers)
            day = f"{datetime.date(1931, 1, 1) + datetime.timedelta(number % 10_000):%Y%m%d}"
            time = f"031337.{number % 1_000_000:06}"
            text = {"DA": day, "TM": time, "DT": f"{day}{time}+0100"}[vr]
            if vr != "TM":
                one.dates[path] = text
            one.planted.append(Planted(path, (text.encode(),)))
            return path[-1], vr, text.encode()
        word = self._word()
        if vr in ("PN", "LO", "ST", "UT") and codec[1] and vr == "PN":
            word = self._word(codec[2])
        encoded = word.encode(codec[1] or "ascii")
        value = {
            "PN": encoded + b"^Qzxanna^M",
            "SH": encoded[:16],
            "AE": encoded[:16],
            "CS": encoded.upper()[:16],
            "UR": b"http://h.example/" + encoded,
            "ST": b"seen by Dr. " + encoded + b" today",
            "LT": b"call " + encoded + b"\r\nsoon",
        }.get(vr, b"of " + encoded)
        one.planted.append(Planted(path, (encoded.lower(),)))
        return path[-1], vr, value

    def _instance(self, suffix: str, number: int, copy: int) -> Instance:
        syntax = (EXPLICIT, IMPLICIT, BIG, DEFLATED, EXPLICIT)[number % 5]
        patient = number % 6
        one = Instance(f"{suffix}-{copy}.dcm", STORAGE + suffix, syntax, patient)
        codec = CHARACTER_SETS[number % len(CHARACTER_SETS)]
        instance_uid = f"{ROOT}{next(self._numbers)}"
        one.uids |= {instance_uid, f"{ROOT}1.{patient}", f"{ROOT}2.{number}"}
        patient_word = f"qzxpat{'abcdef'[patient]}"
        elements: list[Element] = [
            (0x00080005, "CS", codec[0]),
            (0x00080008, "CS", b"ORIGINAL\\PRIMARY"),
            (0x00080016, "UI", one.sop_class.encode()),
            (0x00080018, "UI", instance_uid.encode()),
            (0x00080060, "CS", b"OT"),
            (0x00080070, "LO", b"Acme"),
            (0x00100020, "LO", f"{patient_word}{patient}".encode()),
            (0x00100030, "DA", f"194{patient}0{patient + 1}1{patient}".encode()),
            (0x00100040, "CS", b"F"),
            (0x00101010, "AS", b"097Y"),
            (0x0020000D, "UI", f"{ROOT}1.{patient}".encode()),
            (0x0020000E, "UI", f"{ROOT}2.{number}".encode()),
            (0x00180050, "DS", b"1.25"),
            (0x00180060, "DS", b"120"),
            (0x00200013, "IS", str(number + 1).encode()),
            (0x00200032, "DS", b"-1.5\\2.25\\300.125"),
            (0x00181314, "DS", b"90"),
            (0x00189087, "FD", struct.pack("<d", 1000.5)),
            (0x00280A02, "CS", b"FIDUCIAL"),
        ]
        one.clinical = {tag: value for tag, vr, value in elements if vr in ("DS", "IS", "FD")}
        one.planted += [
            Planted((0x00100020,), (f"{patient_word}{patient}".encode(),)),
            Planted((0x00100030,), (f"194{patient}0{patient + 1}1{patient}".encode(),)),
            *(
                Planted((tag,), (uid.encode(),))
                for tag, uid in ((0x00080018, instance_uid), (0x0020000D, f"{ROOT}1.{patient}"))
            ),
        ]
        for tag, vr in (
            (0x00100010, "PN"),
            (0x00101001, "PN"),
            (0x00101000, "LO"),
            (0x00104000, "LT"),
            (0x00102180, "SH"),
        ):
            elements.append(self._plant(one, (tag,), vr, codec))
        for tag in self._next_tags(38):
            if tag not in {known for known, _, _ in elements}:
                elements.append(self._plant(one, (tag,), dictionary_VR(tag), codec))
        for tag in (_UNLISTED[(number * 5 + step) % len(_UNLISTED)] for step in range(5)):
            if tag not in {known for known, _, _ in elements}:
                elements.append(self._plant(one, (tag,), _vr(tag), codec))
        elements += self._private(one, 0x0009 + 2 * (number % 8), ())
        elements.append(self._nest(one, _NESTED[number % len(_NESTED)], (), 4, codec))
        elements += self._odd_things(one, codec)
        one.elements = [*elements, *self._pixels(one, suffix, number)]
        if suffix in REPORTS:
            one.elements.append(self._report(one, codec))
        if suffix in ("104.1",):
            one.elements.append((0x00420011, "OB", b"%PDF-1.4 " + self._word().encode()))
        preamble = (b"II*\0" + self._word().encode()).ljust(128, b"\0") if number % 4 == 0 else bytes(128)
        one.content = file_of(one.elements, one.syntax, one.sop_class, instance_uid, preamble)
        return one

    def _next_tags(self, how_many: int) -> Iterator[int]:
        for _ in range(how_many):
            yield int(self._plain[self._at % len(self._plain)], 16)
            self._at += 1

    def _private(self, one: Instance, group: int, path: tuple[int, ...]) -> list[Element]:
        creator = group << 16 | 0x10
        found: list[Element] = [(creator, "LO", b"QZXCREATOR")]
        for step, vr in enumerate(("LO", "PN", "OB", "UN", "UT")):
            tag = group << 16 | 0x1001 + step
            word = self._word()
            one.planted.append(Planted((*path, tag), (word.lower().encode(),)))
            found.append((tag, vr, word.encode() + b"\0" * 3))
        tag, inner = group << 16 | 0x1010, group << 16 | 0x1011
        word = self._word()
        one.planted.append(Planted((*path, tag, inner), (word.lower().encode(),)))
        found.append((tag, "SQ", [[(creator, "LO", b"QZXCREATOR"), (inner, "LO", word.encode())]]))
        return found

    def _nest(
        self, one: Instance, tag: int, path: tuple[int, ...], depth: int, codec: tuple[bytes, str, str]
    ) -> Element:
        """Return a sequence with identifiers at each of `depth` levels, private ones too."""
        here = (*path, tag)
        item: list[Element] = [
            self._plant(one, (*here, each), dictionary_VR(each), codec)
            for each in (0x00081155, 0x00081080, 0x00080090, 0x00204000, 0x0040A160, 0x00189074)
        ]
        item += self._private(one, 0x0011, here)
        if depth > 1:
            item.append(self._nest(one, 0x0040A370 if depth == 2 else 0x00082112, here, depth - 1, codec))
        return tag, "SQ", [item]

    def _odd_things(self, one: Instance, codec: tuple[bytes, str, str]) -> list[Element]:
        """Return what hides: UN, wrong VRs, numbers that are words, group lengths, overlays, curves, codes."""
        words = [self._word() for _ in range(9)]
        overlay = bytes(8) + words[3].encode()
        elements: list[Element] = [
            (0x00080080, "UN", b"at " + words[0].encode()),
            (0x00081050, "OB", words[1].encode()),
            (0x00181151, "IS", words[2].encode()),
            (0x60000010, "US", struct.pack("<H", 4)),
            (0x60000022, "LO", words[4].encode()),
            (0x60003000, "OW", overlay + b"\0" * (len(overlay) % 2)),
            (0x50000030, "LO", words[5].encode()),
            (
                0x00081111,
                "SQ" if one.syntax == BIG else "UN",
                [[self._plant(one, (0x00081111, 0x00081195), "UI", codec)]],
            ),
            (
                0x00081032,
                "SQ",
                [
                    [
                        (0x00080100, "SH", words[6].encode()),
                        (0x00080102, "SH", b"99QZX"),
                        (0x00080104, "LO", words[7].encode()),
                    ],
                    [
                        (0x00080100, "SH", b"113691"),
                        (0x00080102, "SH", b"DCM"),
                        (0x00080104, "LO", b"for " + words[8].encode()),
                    ],
                ],
            ),
            (0xFFFCFFFC, "OB", b"padding " + self._word().encode()),
        ]
        known = {tag for tag, _, _ in one.elements}
        paths = (0x00080080, 0x00081050, 0x00181151, 0x60003000, 0x60000022, 0x50000030)
        one.planted += [Planted((tag,), (word.lower().encode(),)) for tag, word in zip(paths, words, strict=False)]
        one.planted += [
            Planted((0x00081032, tag), (word.lower().encode(),))
            for tag, word in ((0x00080100, words[6]), (0x00080104, words[7]), (0x00080104, words[8]))
        ]
        return [element for element in elements if element[0] not in known]

    def _report(self, one: Instance, codec: tuple[bytes, str, str]) -> Element:
        """Return content of a report (PS3.3 C.17.3): text, names, dates and references."""
        items: list[list[Element]] = []
        for kind, tag in (("TEXT", 0x0040A160), ("PNAME", 0x0040A123), ("DATE", 0x0040A121), ("UIDREF", 0x0040A124)):
            concept: Element = (
                0x0040A043,
                "SQ",
                [[(0x00080100, "SH", b"121071"), (0x00080102, "SH", b"DCM"), (0x00080104, "LO", b"Finding")]],
            )
            value = self._plant(one, (0x0040A730, tag), dictionary_VR(tag), codec)
            items.append([(0x0040A010, "CS", b"CONTAINS"), (0x0040A040, "CS", kind.encode()), concept, value])
        return 0x0040A730, "SQ", items

    def _pixels(self, one: Instance, suffix: str, number: int) -> list[Element]:
        """Return an image of 32 by 32 pixels, native or compressed with a comment planted in its frame."""
        if suffix in (*REPORTS, *DOCUMENTS, "66.1", "66.2", "67", "481.3", "481.5", "481.8", "66.5", "77.1.5.4"):
            return []
        rows = columns = 32
        pixels = bytearray((7 * x + 13 * y + number) % 251 for y in range(rows) for x in range(columns))
        if suffix in SHOWN:  # "text" is white pixels at the top
            for x in range(20):
                pixels[x] = 255
            one.burned_in = (0, 0, 20, 1)
        image: list[Element] = [
            (0x00280002, "US", struct.pack("<H", 1)),
            (0x00280004, "CS", b"MONOCHROME2"),
            (0x00280010, "US", struct.pack("<H", rows)),
            (0x00280011, "US", struct.pack("<H", columns)),
            (0x00280100, "US", struct.pack("<H", 8)),
            (0x00280101, "US", struct.pack("<H", 8)),
            (0x00280102, "US", struct.pack("<H", 7)),
            (0x00280103, "US", struct.pack("<H", 0)),
        ]
        if number % 5 == 4 and suffix not in SHOWN:
            return [*image, self._compressed(one, number)]
        one.frames = (bytes(pixels),)
        return [*image, (0x7FE00010, "OB" if one.syntax == EXPLICIT else "OW", bytes(pixels))]

    def _compressed(self, one: Instance, number: int) -> Element:
        """Return compressed pixels whose frame has comments with words in them."""
        source, one.syntax = (
            ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
            ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
        )[number // 5 % 2]
        frame = next(generate_frames(pydicom.dcmread(FILES / source).PixelData, number_of_frames=1))
        word = self._word().encode()
        comment = len(word) + 2
        if one.syntax.endswith("50"):
            segments = b"\xff\xfe" + struct.pack(">H", comment) + word
            segments += b"\xff\xe1" + struct.pack(">H", comment + 6) + b"Exif\0\0" + word
            frame = frame[:2] + segments + frame[2:]
        else:
            size = 4 + struct.unpack_from(">H", frame, 4)[0]
            frame = frame[:size] + b"\xff\x64" + struct.pack(">H", comment + 2) + b"\0\1" + word + frame[size:]
        one.planted.append(Planted((0x7FE00010,), (word.lower(),)))
        frame += b"\0" * (len(frame) % 2)
        one.frames = (frame,)
        return 0x7FE00010, "OB", (frame,)


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "LO"
