"""How attributes are named that transforms change: by keyword, tag or private creator, in sequences by a path. Pure.

PatientID
(0010,0020)
(0009,ACME 1.1,02)                      element 02 of the block that ACME 1.1 has reserved (PS3.5 7.8.1)
RequestAttributesSequence.ScheduledProcedureStepID          in every item
RequestAttributesSequence[0].ScheduledProcedureStepID       in the first item
"""

import difflib
import re
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict, private_dictionary_VR, tag_for_keyword

MAX_PATH_CHARACTERS: Final = 256
TEXT_VRS: Final = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"]
)
NUMBER_VRS: Final = frozenset(["FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"])
_STEP: Final = re.compile(
    r"(?:(?P<keyword>[A-Z][A-Za-z0-9]{0,63})"
    r"|\((?P<group>[0-9A-Fa-f]{4}),(?:(?P<creator>[^,()\\]{1,64}),(?P<offset>[0-9A-Fa-f]{2})|(?P<element>[0-9A-Fa-f]{4}))\))"
    r"(?:\[(?P<index>[0-9]{1,4})\])?"
)
_CHARACTER_SET: Final = 0x00080005
_ORIGINAL_ATTRIBUTES: Final = 0x04000561
_IMAGE_PIXEL: Final = frozenset(
    (0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, *range(0x00280100, 0x00280104))
)
"""What says how the bytes of the pixels are to be read (PS3.3 C.7.6.3)."""
_PIXEL_GROUP: Final = 0x7FE0


class PathError(ValueError):
    """A text names no attribute, or one that must not be changed; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """One attribute of a path. A private one has the last two digits of its element, and its creator.

    `index` is that of the item that is meant, from 0; None for every item.
    """

    tag: int
    creator: str = ""
    index: int | None = None


@dataclass(frozen=True, slots=True)
class AttributePath:
    """Where an attribute is: sequences, and in their items the attribute itself, and the VR that it is written with."""

    text: str
    steps: tuple[PathStep, ...]
    vr: str

    @property
    def top(self) -> PathStep:
        """What stands at the top level of the data set."""
        return self.steps[0]

    @property
    def is_nested(self) -> bool:
        """Whether the attribute is in a sequence."""
        return len(self.steps) > 1


def parse_path(text: str, vr: str = "") -> AttributePath:
    """Return the path that a text names; `vr` is for an attribute that the data dictionary does not have.

    Raises PathError.
    """
    if len(text) > MAX_PATH_CHARACTERS:
        raise PathError(
            f"an attribute's path has at most {MAX_PATH_CHARACTERS} characters, but this one has {len(text)}"
        )
    steps, at = list[PathStep](), 0
    while True:
        found = _STEP.match(text, at)
        if found is None:
            raise PathError(
                f"{text!r} is not an attribute: write a keyword such as PatientID, a tag such as (0010,0020), or a "
                "private element such as (0009,ACME 1.1,02), after its sequences and a period"
            )
        steps.append(_step(found))
        at = found.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise PathError(f"{text!r}: write a period between {text[:at]!r} and {text[at:]!r}")
        at += 1
    for step in steps[:-1]:
        if not step.creator and _vr_of(step) not in ("SQ", ""):
            raise PathError(f"{text!r}: {step.tag:08X} is not a sequence, so nothing can be inside it")
    if steps[-1].index is not None:
        raise PathError(
            f"{text!r}: an index is allowed only after a sequence that contains something: leave it out at the end"
        )
    return AttributePath(text, tuple(steps), _vr_of(steps[-1]) or vr)


def check_changeable(path: AttributePath) -> None:
    """Raise PathError for an attribute that no transform changes: UIDs, character sets, what describes pixels."""
    last = path.steps[-1]
    for step in path.steps:
        group = step.tag >> 16
        if group in (0x0000, 0x0002) or group >= 0xFFFE or (not step.creator and step.tag & 0xFFFF == 0):
            raise PathError(
                f"{path.text}: the gateway sets groups 0000 and 0002 and group lengths itself: choose another attribute"
            )
        if group == _PIXEL_GROUP:
            raise PathError(f"{path.text}: a transform cannot change pixel data")
    if not last.creator and last.tag >> 16 & 1 and last.tag & 0xFFFF < 0x1000:
        raise PathError(f"{path.text}: name a private element by its creator, such as (0009,ACME 1.1,02)")
    if path.vr == "UI":
        raise PathError(f"{path.text} is a UID: only de-identification changes UIDs, not transforms")
    if last.tag == _CHARACTER_SET:
        raise PathError(f"{path.text} defines the encoding of texts, so a transform cannot change it")
    if last.tag in _IMAGE_PIXEL and not last.creator:
        raise PathError(f"{path.text} defines the encoding of pixels, so a transform cannot change it")
    if path.top.tag == _ORIGINAL_ATTRIBUTES:
        raise PathError(f"{path.text} records what was changed, so a transform cannot change it")


def check_writable(path: AttributePath) -> None:
    """Raise PathError for an attribute that can be given no value: sequences, bulk data, one without a known VR."""
    check_changeable(path)
    if not path.vr:
        raise PathError(f"{path.text} is not in the data dictionary: add its vr, such as LO")
    if path.vr not in TEXT_VRS | NUMBER_VRS:
        raise PathError(f"{path.text} has VR {path.vr}: a transform can remove it, but cannot set it")


def _step(found: re.Match[str]) -> PathStep:
    index = None if found["index"] is None else int(found["index"])
    if found["creator"] is not None:
        group = int(found["group"], 16)
        if group % 2 == 0:
            raise PathError(f"{found[0]}: a private element has an odd group (PS3.5 7.8)")
        return PathStep(group << 16 | int(found["offset"], 16), found["creator"].strip(" "), index)
    if found["keyword"] is None:
        return PathStep(int(found["group"] + found["element"], 16), index=index)
    tag = tag_for_keyword(found["keyword"])
    if tag is None:
        near = difflib.get_close_matches(found["keyword"], keyword_dict, n=1)
        hint = f": did you mean {near[0]}?" if near else ": use a keyword of the data dictionary (PS3.6)"
        raise PathError(f"{found['keyword']} is not a DICOM keyword{hint}")
    return PathStep(tag, index=index)


def _vr_of(step: PathStep) -> str:
    """Return the VR of an attribute by the data dictionary; "" for one that it does not have."""
    try:
        if not step.creator:
            return dictionary_VR(step.tag)
        return private_dictionary_VR(step.tag & 0xFFFF0000 | 0x1000 | step.tag & 0xFF, step.creator)
    except KeyError:
        return ""
