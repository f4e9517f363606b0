"""What a profile does with each attribute: options, rules and the table, resolved once (PS3.15 E.1 to E.3). Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from dicomroute_gateway.configuration.profile import AttributeAction, Option, Profile, UnlistedText

from .pseudonyms import Noted, Pseudonyms
from .subject import Subject
from .table import Table, table

PATIENT_ID: Final = 0x00100020
PATIENT_NAME: Final = 0x00100010

_WITHOUT_ROW: Final = {
    **dict.fromkeys(
        (
            *(0x0008010D, 0x00081167, 0x00083012, 0x0018991E, 0x00200242, 0x00209312, 0x00209313, 0x00280304),
            *(0x0040A021, 0x0040A022, 0x0040E011, 0x0040E030, 0x0040E031, 0x00440102, 0x00440108, 0x00687004),
            *(0x0070031B, 0x00701209, 0x00701904, 0x0072007F, 0x300A0675, 0x3010001F, 0x00041432, 0x00020033),
        ),
        "U",
    ),
    0x00880200: "X",  # a small image, with whatever the large one shows
    0x00081190: "X",  # where an archive of the hospital has it
    0x00120062: "X",  # these four are written anew
    0x00120063: "X",
    0x00120064: "X",
    0x00280303: "X",
}
"""Attributes that the table has no row for and that name an instance, an organization or a place all the same."""

TECHNICAL: Final = frozenset(
    (
        *(0x00080070, 0x00081090, 0x00080102, 0x00080103, 0x00080112, 0x00080122, 0x00080222),
        *(0x00180024, 0x00180031, 0x00180034, 0x00180085, 0x00181016, 0x00181018, 0x00181019, 0x00181020),
        *(0x00181023, 0x00181040, 0x00181061, 0x00181064, 0x00181070, 0x00181085, 0x00181160, 0x00181161),
        *(0x00181180, 0x00181210, 0x00181250, 0x00181251, 0x00181260, 0x00181261, 0x00189005, 0x0018702A),
        *(0x0018702B, 0x00187040, 0x00187041, 0x00189041, 0x00189047, 0x00189050, 0x00189320, 0x00189524),
        *(0x00189525, 0x00189526, 0x00201040, 0x0020103F, 0x00209056, 0x00281054, 0x00283004, 0x00420012),
        *(0x00480106, 0x006A000E, 0x00541101, 0x00541103, 0x00541104, 0x00541105, 0x00620009, 0x00660031),
        *(0x00660036, 0x00640021, 0x300A0226, 0x00080100, 0x00080104, 0x00080119, 0x00080120),
    )
)
"""Text attributes without a row that devices fill, and that stay whatever becomes of unlisted text.

Code values and meanings have a test of their own (`codes`).
"""


class Action(Enum):
    """What becomes of an element."""

    KEEP = auto()  # of a sequence: it is cleaned within
    REMOVE = auto()
    EMPTY = auto()
    DUMMY = auto()
    UID = auto()
    CLEAN = auto()
    SHIFT = auto()
    PATIENT_ID = auto()


_LETTERS: Final = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID, "K": Action.KEEP}
_OF_RULES: Final = {
    AttributeAction.KEEP: Action.KEEP,
    AttributeAction.REMOVE: Action.REMOVE,
    AttributeAction.EMPTY: Action.EMPTY,
    AttributeAction.DUMMY: Action.DUMMY,
    AttributeAction.REPLACE_UID: Action.UID,
    AttributeAction.SHIFT_DATE: Action.SHIFT,
    AttributeAction.CLEAN: Action.CLEAN,
}
_NEVER_KEPT: Final = frozenset((PATIENT_ID, PATIENT_NAME))


@dataclass(frozen=True, slots=True)
class Entry:
    """What becomes of an attribute: by an option or a rule, or by the Basic Profile's letters where there is none.

    `letters` also say what becomes of a value that cannot be cleaned or shifted.
    """

    chosen: Action | None
    letters: str

    def basic(self, kind: int | None, *, is_known_place: bool) -> Action:
        """Return what the Basic Profile does where the attribute is of Type `kind` (1, 2 or None).

        A compound action takes the first letter that the Type allows; where the place is unknown, the last one
        (PS3.15 E.3.1). An X against Type 1 is a dummy, and against Type 2 empty.
        """
        letters = self.letters.split("/")
        if "U*" in letters:
            return Action.KEEP  # the sequence stays, with new UIDs within
        if kind == 1:
            return Action.UID if "U" in letters else Action.DUMMY
        if len(letters) > 1 and not is_known_place:
            return _LETTERS[letters[-1]]
        if kind == 2 and letters[0] == "X":
            return Action.EMPTY if "Z" in letters or len(letters) == 1 else Action.DUMMY
        return _LETTERS[letters[0]]


@dataclass(frozen=True)
class Plan:
    """A profile, resolved. `entries` has the attributes of table and list, `rules` patterns that come before it.

    `older` are the pseudonyms of earlier keys, the newest first; they are those of patients who are `known` by them.
    """

    profile: Profile
    options: frozenset[Option]
    table: Table
    entries: Mapping[int, Entry]
    pseudonyms: Pseudonyms = field(repr=False)
    allowed_tokens: frozenset[str]
    _rules: tuple[tuple[re.Pattern[str], Action], ...]
    older: tuple[Pseudonyms, ...] = field(default=(), repr=False)
    known: Collection[str] = field(default=frozenset(), repr=False)
    _by_rule: dict[int, Action | None] = field(default_factory=dict, repr=False)

    def about(self, subject: Subject) -> "Plan":
        """Return the plan for the patient of an instance: with the key by which he is known, the first one otherwise.

        All of an instance is made by one key: its UIDs and those that it refers to, the pseudonym, and the shift. Which
        one depends on nothing but the patient, the keys and what is known, so that it is the same in every gateway.
        """
        if not self.older or not self.known:
            return self
        prefix = self.profile.patient_id_prefix
        for one in (self.pseudonyms, *self.older):
            if one.would_be(*subject.patient, prefix) in self.known:
                return self if one is self.pseudonyms else replace(self, pseudonyms=one, older=())
        return self

    def new_uid(self, uid: str) -> str:
        """Return the UID in the place of one, itself where UIDs are retained."""
        return uid if Option.RETAIN_UIDS in self.options or not uid else self.pseudonyms.uid(uid)

    @property
    def removes_unlisted_dates(self) -> bool:
        """Whether no option keeps dates."""
        return not self.options & {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES}

    @property
    def unlisted_text(self) -> UnlistedText:
        """What becomes of text without a row."""
        return self.profile.unlisted_text

    def ruled(self, tag: int) -> Action | None:
        """Return what the first rule that names a tag does with it; what names a patient is never kept."""
        if not self._rules:
            return None
        if tag not in self._by_rule:
            name = f"{tag:08X}"
            found = next((action for pattern, action in self._rules if pattern.fullmatch(name)), None)
            self._by_rule[tag] = None if tag in _NEVER_KEPT else found
        return self._by_rule[tag]


def resolve(
    profile: Profile,
    key: bytes,
    noted: Noted | None = None,
    *,
    older: Sequence[bytes] = (),
    known: Collection[str] = frozenset(),
) -> Plan:
    """Return the plan of a profile; pseudonyms are noted in `noted`.

    `known` are pseudonyms that the recipients have: whoever has one of them by one of the `older` keys keeps it. Raises
    ValueError for a short key.
    """
    options = frozenset(profile.options)
    found = table()
    entries = {tag: _entry(row.action, row.options, options) for tag, row in found.rows.items()}
    keeps_uids = Action.KEEP if Option.RETAIN_UIDS in options else None
    for tag, letters in _WITHOUT_ROW.items():
        entries[tag] = Entry(keeps_uids if letters == "U" else None, letters)
    entries[PATIENT_ID] = Entry(Action.PATIENT_ID, "Z/D")
    entries[PATIENT_NAME] = Entry(Action.PATIENT_ID, "Z")
    return Plan(
        profile,
        options,
        found,
        entries,
        Pseudonyms(key, noted),
        frozenset(token.casefold() for token in profile.allowed_tokens),
        tuple(
            (re.compile("".join("[0-9A-F]" if one == "x" else one for one in tag)), _OF_RULES[rule.action])
            for rule in profile.rules
            for tag in rule.tags
        ),
        tuple(Pseudonyms(one, noted) for one in older),
        known,
    )


def _entry(letters: str, cells: Mapping[str, str], options: frozenset[Option]) -> Entry:
    """Return what becomes of a row. Of several options, one that keeps comes before one that cleans."""
    said = {cells[one] for one in options if one in cells}
    if "K" in said:
        return Entry(Action.KEEP, letters)
    if "C" not in said:
        return Entry(None, letters)
    shifts = Option.RETAIN_MODIFIED_DATES in options and Option.RETAIN_MODIFIED_DATES in cells
    return Entry(Action.SHIFT if shifts else Action.CLEAN, letters)
