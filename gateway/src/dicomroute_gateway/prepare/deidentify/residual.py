"""Searches what was made for what identified the patient: the last look, whoever made the mistake. Pure.

Searched for: name parts of three letters and more, in any order and case, and in the encodings that DICOM has, IDs,
accession number, birth date, names of other persons, institution and, where they change, the UIDs. Not in dates, which
may be equal by chance, and not in pixels.
"""

import re
from functools import lru_cache
from typing import Final

from dicomroute_gateway.configuration.profile import Option
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.character_sets import decode_text

from .plan import Plan
from .subject import Subject
from .values import BINARY, DATES
from .withheld import Withheld

_UIDS: Final = (0x0020000D, 0x0020000E, 0x00080018)
_IDS: Final = (0x00100020, 0x00101000, 0x00101001, 0x00080050)
_LEAST_NAME_LETTERS: Final = 3
_LEAST_ID_CHARACTERS: Final = 4
_LEAST_PERSON_LETTERS: Final = 4
_WHOLE_WORD_CHARACTERS: Final = 5
"""Shorter ones count as words alone: "Ann" is in "annular"."""
_ENCODINGS: Final = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "iso8859_2", "iso8859_5", "iso8859_7", "gb18030")
_COMMON: Final = frozenset(
    (
        *("abdomen", "ankle", "anonymized", "aorta", "arm", "axial", "body", "brain", "breast", "cervix", "chest"),
        *("coil", "colon", "day", "derived", "elbow", "ear", "eye", "face", "feet", "finger", "foot", "hand", "head"),
        *("heart", "hip", "image", "jaw", "kidney", "knee", "leg", "liver", "lung", "medical", "mouth", "neck"),
        *("normal", "nose", "original", "other", "patient", "pelvis", "philips", "phantom", "primary", "research"),
        *("secondary", "shoulder", "siemens", "skull", "spine", "standard", "systems", "test", "thigh", "toe"),
        *("unknown", "volume", "water", "whole", "wrist", "year", "none", "and", "the", "yes", "not", "new", "old"),
    )
)
"""Words of data sets that are no one's name alone."""
_SEPARATORS: Final = re.compile(r"[\^=\\\s,;()\[\]./_-]+")


class Residue:
    """What one instance must not have any more, and what was written of it."""

    def __init__(self, plan: Plan, subject: Subject) -> None:
        self._plan = plan
        self._character_set = subject.values.get(0x00080005, b"")
        self._texts: list[bytes] = []
        self._uids: list[bytes] = []
        self._persons: set[bytes] = set()
        self._subject = subject

    def person(self, value: bytes) -> None:
        """Take note of a person's name that came."""
        if value.strip(b" \0^"):
            self._persons.add(value)

    def written(self, vr: str, value: bytes) -> None:
        """Take note of a value that was written."""
        if vr == "UI":
            self._uids.append(value)
        elif vr not in DATES and vr not in BINARY:
            self._texts.append(value)

    def check(self) -> None:
        """Raise Withheld if something is left."""
        values = self._subject.values
        names = tuple(sorted(self._persons | {values.get(0x00100010, b"")}))
        ids = [part.strip(b" \0") for tag in _IDS for part in values.get(tag, b"").split(b"\\")]
        ids.append(values.get(0x00100030, b"").strip(b" \0"))
        institution = values.get(0x00080080, b"").strip(b" \0")
        devices = values.get(0x00080070, b"") + values.get(0x00081090, b"")
        if Option.RETAIN_INSTITUTION_IDENTITY not in self._plan.options and institution.lower() not in devices.lower():
            ids.append(institution)  # a phantom's institution is its manufacturer
        patient = values.get(0x00100010, b"")
        pattern = _pattern(patient, names, tuple(ids), self._character_set)
        if pattern is not None and pattern.search(b"\n".join(self._texts).lower()):
            raise Withheld(
                Reason.IDENTIFIER_LEFT, "a name or an ID of the original is still in the de-identified instance"
            )
        if Option.RETAIN_UIDS in self._plan.options:
            return
        uids = {values.get(tag, b"").strip(b" \0") for tag in _UIDS} - {b""}
        left = {one.strip(b" \0") for value in self._uids for one in value.split(b"\\")}
        texts = b"\n".join(self._texts)
        if uids & left or any(one in texts for one in uids if len(one) > 8):
            raise Withheld(Reason.IDENTIFIER_LEFT, "a UID of the original is still in the de-identified instance")


@lru_cache(256)
def _pattern(
    patient: bytes, names: tuple[bytes, ...], ids: tuple[bytes, ...], character_set: bytes
) -> re.Pattern[bytes] | None:
    """Return what finds any of them in text in lower case; None where there is nothing to look for."""
    found: set[bytes] = set()
    for name in names:
        least = _LEAST_NAME_LETTERS if name == patient else _LEAST_PERSON_LETTERS
        for text in _decoded(name, character_set):
            for token in _SEPARATORS.split(text):
                if len(token) >= least and token.lower() not in _COMMON and not token.isdigit():
                    found |= _forms(token)
    for one in ids:
        if len(one) >= _LEAST_ID_CHARACTERS and one.lower().decode("latin-1") not in _COMMON:
            for text in _decoded(one, character_set):
                found |= _forms(text)
    return re.compile(b"|".join(sorted(found))) if found else None


def _decoded(value: bytes, character_set: bytes) -> set[str]:
    """Return the texts that bytes may be."""
    texts = {value.decode("latin-1").strip(" \0")}
    try:
        texts.add(decode_text(value, "PN", character_set).strip(" \0"))
    except (ValueError, LookupError):
        pass
    return texts


def _forms(text: str) -> set[bytes]:
    """Return expressions for a text in every encoding, in lower case as far as bytes have one."""
    forms = set()
    for cased in (text, text.lower(), text.upper(), text.title()):
        for encoding in _ENCODINGS:
            try:
                encoded = re.escape(cased.encode(encoding).lower())
            except UnicodeEncodeError:
                continue
            if len(text) < _WHOLE_WORD_CHARACTERS and text.isascii():
                encoded = rb"(?<![a-z0-9])" + encoded + rb"(?![a-z0-9])"
            forms.add(encoded)
    return forms
