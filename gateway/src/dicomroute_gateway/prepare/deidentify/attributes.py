"""What becomes of one element of a data set, and of its value (PS3.15 E.1.1, E.3). Pure."""

from collections.abc import Iterator
from typing import Final

from dicomroute_gateway.configuration.profile import Option, UnlistedText
from dicomroute_gateway.prepare.elements import dictionary_vr
from dicomroute_gateway.rules.character_sets import decode_text

from .codes import is_public, meaning
from .dates import aged, shifted
from .level import NestingLevel
from .plan import TECHNICAL, Action, Plan
from .subject import Subject
from .values import DATES, DUMMY_TEXT, TEXT, dummy, is_proper, without_text

_CODE_VALUE: Final = 0x00080100
_SCHEME: Final = 0x00080102
_SCHEME_VERSION: Final = 0x00080103
_CODE_MEANING: Final = 0x00080104
_LONG_CODE_VALUE: Final = 0x00080119
_URN_CODE_VALUE: Final = 0x00080120
CODE_PARTS: Final = frozenset((_CODE_VALUE, _SCHEME, _SCHEME_VERSION, _CODE_MEANING, _LONG_CODE_VALUE, _URN_CODE_VALUE))
"""Attributes of a code, which are judged together."""
_OTHER_SCHEME: Final = b"99ANON"
_ICC_PROFILE: Final = 0x00282000
_UNKNOWN: Final = "UN"


class Attributes:
    """Decides for one instance."""

    def __init__(self, plan: Plan, subject: Subject) -> None:
        self._plan = plan
        self._character_set = subject.values.get(0x00080005, b"")
        issuer, patient = subject.patient
        self._pseudonym = plan.pseudonyms.patient_id(issuer, patient, plan.profile.patient_id_prefix).encode()
        days = plan.pseudonyms.shift_days(issuer, patient)
        self._days = days // 7 * 7 if plan.profile.keep_weekdays else days

    def vr(self, tag: int, vr: str) -> str:
        """Return the VR that an element is judged by: the dictionary's where that is text, or where none came.

        Whoever writes a name as OB has written a name.
        """
        known = dictionary_vr(tag)
        if known == "UN" and (row := self._plan.table.rows.get(tag)) is not None:
            known = row.vr or "UN"
        if vr == "SQ" or known == "SQ":
            return "SQ"
        if known in TEXT or known == "PN" or known in DATES:
            return known
        return known if vr == "UN" and " or " not in known else vr

    def action(self, tag: int, vr: str, level: NestingLevel) -> Action:
        """Return what becomes of an element that is no sequence. `vr` is the one that it is judged by."""
        chosen = self._plan.ruled(tag)
        if chosen is None and (entry := self._plan.entries.get(tag)) is not None:
            chosen = entry.chosen or self._basic(tag, level)
        if chosen is None:
            chosen = self._unlisted(tag, vr, level)
        if vr == "PN" and chosen in (Action.KEEP, Action.CLEAN, Action.SHIFT):
            return Action.DUMMY
        return chosen

    def _basic(self, tag: int, level: NestingLevel) -> Action:
        """Return what the Basic Profile does, or what is left to do where a value cannot be cleaned."""
        entry = self._plan.entries.get(tag)
        if entry is None:
            return Action.REMOVE
        kind = self._plan.table.required.get(level.place, {}).get(tag)
        return entry.basic(kind, is_known_place=level.is_known_place)

    def sequence_action(self, tag: int, level: NestingLevel) -> Action:
        """Return what becomes of a sequence: KEEP goes into it, DUMMY too, and replaces all text there."""
        chosen = self._plan.ruled(tag)
        entry = self._plan.entries.get(tag)
        if chosen is None and entry is not None:
            chosen = entry.chosen or self._basic(tag, level)
        if chosen is None and dictionary_vr(tag) == "UN":
            return Action.REMOVE
        return chosen if chosen in (Action.REMOVE, Action.EMPTY, Action.DUMMY) else Action.KEEP

    def _unlisted(self, tag: int, vr: str, level: NestingLevel) -> Action:
        """Return what becomes of an attribute that the table has no row for."""
        if dictionary_vr(tag) == _UNKNOWN:
            return Action.REMOVE
        if vr == "PN":
            return Action.DUMMY
        if vr in DATES:
            if self._plan.removes_unlisted_dates:
                return Action.REMOVE
            return Action.SHIFT if Option.RETAIN_MODIFIED_DATES in self._plan.options else Action.KEEP
        if vr in TEXT:
            return self._unlisted_text(tag, level)
        if vr == "AS" and Option.RETAIN_PATIENT_CHARACTERISTICS not in self._plan.options:
            return Action.REMOVE
        return Action.REMOVE if vr == "UN" and " or " not in dictionary_vr(tag) else Action.KEEP

    def _unlisted_text(self, tag: int, level: NestingLevel) -> Action:
        if level.is_dummy:
            return Action.DUMMY
        if tag in TECHNICAL or tag in CODE_PARTS:
            return Action.KEEP
        match self._plan.unlisted_text:
            case UnlistedText.KEEP:
                return Action.KEEP
            case UnlistedText.REMOVE:
                return Action.REMOVE
            case UnlistedText.DUMMY:
                return Action.DUMMY

    def written(self, tag: int, vr: str, value: bytes, action: Action, level: NestingLevel) -> bytes | None:
        """Return the value that is written in the place of one, None if the element is not written at all."""
        match action:
            case Action.REMOVE:
                return None
            case Action.EMPTY:
                return b""
            case Action.DUMMY:
                return dummy(vr, len(value)) if value.strip(b" \0") else b""
            case Action.PATIENT_ID:
                return self._pseudonym
            case Action.UID:
                return self._new_uids(value)
            case Action.KEEP:
                return self._kept(tag, vr, value, level)
            case Action.SHIFT | Action.CLEAN:
                return self._cleaned(tag, vr, value, action, level)

    def _new_uids(self, value: bytes) -> bytes:
        uids = value.decode("latin-1").split("\\")
        return "\\".join(self._plan.pseudonyms.uid(one) if (one := uid.strip(" \0")) else "" for uid in uids).encode()

    def _kept(self, tag: int, vr: str, value: bytes, level: NestingLevel) -> bytes | None:
        """Return a value that stays as it is, if it is what its VR says."""
        if tag == _ICC_PROFILE:
            return without_text(value)
        if vr == "AS":
            age = aged(value.decode("latin-1"))
            return age.encode() if age is not None else self._instead(tag, vr, value, level)
        if is_proper(vr, value):
            return value
        if vr in DATES:
            return self._instead(tag, vr, value, level)
        return self._new_uids(value) if vr == "UI" else b""

    def _cleaned(self, tag: int, vr: str, value: bytes, action: Action, level: NestingLevel) -> bytes | None:
        """Return a value with what may stay of it; what cannot be cleaned is as in the Basic Profile."""
        if vr in DATES:
            moved = shifted(vr, value.decode("latin-1"), self._days) if is_proper(vr, value) else None
            return moved.encode() if moved is not None else self._instead(tag, vr, value, level)
        if action is Action.CLEAN and vr == "AS":
            return self._kept(tag, vr, value, level)
        if action is Action.CLEAN and vr in TEXT and (text := self._allowed(vr, value)):
            return text
        return self._instead(tag, vr, value, level)

    def _instead(self, tag: int, vr: str, value: bytes, level: NestingLevel) -> bytes | None:
        return self.written(tag, vr, value, self._basic(tag, level), level)

    def _allowed(self, vr: str, value: bytes) -> bytes:
        """Return the words of a text that are in the list of allowed ones; they are ASCII."""
        if not self._plan.allowed_tokens:
            return b""
        try:
            text = decode_text(value, vr, self._character_set)
        except (ValueError, LookupError):
            return b""
        words = (word for word in text.replace("^", " ").replace("\\", " ").split() if word.isascii())
        return " ".join(word for word in words if word.casefold() in self._plan.allowed_tokens).encode()

    def coded(self, codes: dict[int, tuple[str, bytes]]) -> Iterator[tuple[int, str, bytes]]:
        """Yield tag, VR and value of the parts of a code: public ones stay, with the meaning that their scheme has."""
        texts = {tag: value.decode("latin-1").strip(" \0") for tag, (_, value) in codes.items()}
        scheme = texts.get(_SCHEME, "")
        value = texts.get(_CODE_VALUE) or texts.get(_LONG_CODE_VALUE) or texts.get(_URN_CODE_VALUE, "")
        stays = self._plan.unlisted_text is UnlistedText.KEEP or (is_public(scheme, value) if value else not texts)
        known = meaning(scheme, value)
        for tag, (vr, original) in sorted(codes.items()):
            if self._plan.unlisted_text is UnlistedText.KEEP or (stays and tag != _CODE_MEANING):
                if tag != _SCHEME_VERSION or len(original) <= 16:
                    yield tag, vr, original
            elif tag == _CODE_MEANING:
                yield tag, vr, known.encode("ascii", "replace")[:64] if known and stays else DUMMY_TEXT
            elif tag == _SCHEME:
                yield tag, vr, _OTHER_SCHEME
            elif tag != _SCHEME_VERSION:
                yield tag, vr, dummy(vr, len(original))
