"""Attribute matching of C-FIND (PS3.4 C.2.2.2): whether an entity matches the keys of an identifier. Pure.

Every answer of an archive is matched here again, on every key: no origin server that we know of matches as the standard
says. Where that leaves a choice, docs/query-retrieve.md states ours.
"""

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from dicomroute_gateway.decoded import Attributes, Element

_WILD_CARD_VRS: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_NUMBERS: Final = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_TIMES: Final = {"DA": 8, "TM": 12, "DT": 20}
"""How many digits a value of full precision has: a fraction of a second has six of them."""
_OFFSET: Final = re.compile(r"(?<=[0-9])[+-](?:0[0-9]|1[0-4])(?:00|15|30|45)$")
_PUNCTUATION: Final = {"DA": ".", "TM": ":.", "DT": "."}
"""Besides the point of a fraction, what ACR-NEMA wrote between numbers (PS3.5 6.2, notes on DA and TM)."""
_DATE_AND_TIME: Final = {
    0x00080020: 0x00080030,
    0x00080021: 0x00080031,
    0x00080022: 0x00080032,
    0x00080023: 0x00080033,
    0x00400002: 0x00400003,
    0x00400244: 0x00400245,
}
"""Dates with the times that belong to them: of study, series, acquisition, content and procedure steps."""

Predicate = Callable[[str], bool]
Test = Callable[[Attributes], bool]


class Matcher:
    """The keys of one identifier, ready to be matched with many entities."""

    def __init__(self, keys: Attributes, *, has_combined_date_time: bool = False) -> None:
        """`has_combined_date_time`: a range of dates and one of its times are one range (PS3.4 C.2.2.2.5.4)."""
        self._tests: list[Test] = []
        combined: set[int] = set()
        if has_combined_date_time:
            for date, time in _DATE_AND_TIME.items():
                if _is_range(keys.get(date)) and _is_range(keys.get(time)):
                    self._tests.append(_combined(date, time, keys[date].text, keys[time].text))
                    combined |= {date, time}
        self._tests += [_test(tag, key) for tag, key in keys.items() if tag not in combined and not is_universal(key)]

    def matches(self, entity: Attributes) -> bool:
        """Return whether an entity matches all keys; what it has no value of matches universal keys alone."""
        return all(test(entity) for test in self._tests)


def matching_items(key: Element, found: Element) -> tuple[Attributes, ...]:
    """Return the items of a sequence that match the item of its key, all of them for a universal one."""
    matcher = Matcher(key.items[0] if key.items else {})
    return tuple(item for item in found.items if matcher.matches(item))


def is_universal(key: Element) -> bool:
    """Return whether a key matches everything (PS3.4 C.2.2.2.3): empty, an asterisk alone, an item without values."""
    if key.vr == "SQ":
        return all(is_universal(one) for item in key.items for one in item.values())
    return key.is_empty or (key.vr in _WILD_CARD_VRS and set("".join(key.values)) == {"*"})


def has_wild_card(key: Element) -> bool:
    """Return whether a key has wild cards that mean something in its VR (PS3.4 C.2.2.2.4)."""
    return key.vr in _WILD_CARD_VRS and any(one in value for value in key.values for one in "*?")


def is_range(key: Element) -> bool:
    """Return whether a key is a range of dates or times (PS3.4 C.2.2.2.5)."""
    return _is_range(key)


def _test(tag: int, key: Element) -> Test:
    if key.vr == "SQ":
        item = Matcher(key.items[0])
        return lambda entity: tag in entity and any(map(item.matches, entity[tag].items))
    # Several values mean any of them: so it is with UIDs, and AND has to be negotiated (PS3.4 C.2.2.2.8).
    predicates = [_predicate(key.vr, value) for value in key.values if value]

    def test(entity: Attributes) -> bool:
        found = entity.get(tag)
        return found is not None and any(one(value) for value in found.values if value for one in predicates)

    return test


def _predicate(vr: str, key: str) -> Predicate:
    if vr == "PN":
        return _name(key)
    if vr in _TIMES:
        return _time(vr, key)
    if vr in _NUMBERS:
        return _number(key)
    if vr in _WILD_CARD_VRS:
        return _text(_trimmed(vr, key), lambda text: _trimmed(vr, text))
    return lambda value: value.strip(" \0") == key.strip(" \0")


def _trimmed(vr: str, text: str) -> str:
    """Return a text without blanks that mean nothing (PS3.5 6.2): leading ones do in LT, ST, UT, UC and UR."""
    return text.rstrip(" ") if vr in ("LT", "ST", "UC", "UR", "UT") else text.strip(" ")


def _text(key: str, fold: Callable[[str], str]) -> Predicate:
    if "*" not in key and "?" not in key:
        return lambda value: fold(value) == key
    matches = _wild_card(key)
    return lambda value: matches(fold(value))


def _wild_card(pattern: str) -> Predicate:
    """Return a test for `*`, any run, and `?`, one character.

    By pieces and not by a regular expression, which a hostile pattern of many asterisks makes exponential.
    """
    first, *rest = [_one_character_each(piece) for piece in re.split(r"\*+", pattern)]
    if not rest:
        return lambda value: len(value) == first[0] and first[1](value, 0) == 0
    *middle, last = rest

    def matches(value: str) -> bool:
        if len(value) < first[0] + last[0] or not first[2](value, 0) or not last[2](value, len(value) - last[0]):
            return False
        at, end = first[0], len(value) - last[0]
        for length, find, _ in middle:
            at = find(value, at)
            if at < 0 or at + length > end:
                return False
            at += length
        return True

    return matches


def _one_character_each(piece: str) -> tuple[int, Callable[[str, int], int], Callable[[str, int], bool]]:
    """Return the length of a piece without asterisks, what finds it from a place on, and whether it stands at one."""
    pattern = re.compile("".join("." if one == "?" else re.escape(one) for one in piece), re.DOTALL)

    def find(value: str, at: int) -> int:
        found = pattern.search(value, at)
        return -1 if found is None else found.start()

    return len(piece), find, lambda value, at: pattern.match(value, at) is not None


def _name(key: str) -> Predicate:
    """Return a test for a name: without regard to case, component groups apart (PS3.5 6.2.1, PS3.4 C.2.2.2.1.1).

    A key of one group may match any of them; in one of several an empty group matches everything.
    """
    groups = [_group(one) for one in _split_name(key)]

    def matches(value: str) -> bool:
        if value == key:
            return True
        stored = [_folded(one) for one in _split_name(value)]
        if len(groups) == 1:
            only = groups[0]
            return only is None or any(one and only(one) for one in stored)
        stored += [""] * (len(groups) - len(stored))
        return all(group is None or group(one) for group, one in zip(groups, stored, strict=False))

    return matches


def _split_name(name: str) -> list[str]:
    return [group.strip(" ").rstrip("^").rstrip(" ") for group in name.split("=")] or [""]


def _group(key: str) -> Predicate | None:
    """Return the test for one component group; None for one that matches everything."""
    return None if not key.strip("*") else _text(_folded(key), lambda text: text)


def _folded(text: str) -> str:
    """Return a text without what case and the composing of letters make of it; accents stay."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _number(key: str) -> Predicate:
    """Return a test for a number: +7, 007 and 7 are one (PS3.4 C.2.2.2.1, the choice of an SCP)."""
    wanted = _decimal(key)
    if wanted is None:
        return lambda value: value.strip(" ") == key.strip(" ")
    return lambda value: _decimal(value) == wanted


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip(" \0"))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _is_range(key: Element | None) -> bool:
    return key is not None and key.vr in _TIMES and len(key.values) == 1 and "-" in _without_offset(key.vr, key.text)


def _without_offset(vr: str, text: str) -> str:
    """Return a DT without its offset from UTC, which has no say here: no adjustment was negotiated (PS3.4 C.5.1.1)."""
    return _OFFSET.sub("", text.strip(" ")) if vr == "DT" else text.strip(" ")


def _bounds(vr: str, key: str) -> tuple[str, str]:
    """Return the first and the last instant of a key, as digits of full precision; "" where it has no bound.

    An end of lower precision is the whole of it: -12 ends with the last microsecond of that hour.
    """
    first, hyphen, last = _without_offset(vr, key).partition("-")
    if not hyphen:
        last = first
    digits = _TIMES[vr]
    return (
        _digits(vr, first).ljust(digits, "0") if first else "",
        _digits(vr, last).ljust(digits, "9") if last else "",
    )


def _digits(vr: str, text: str) -> str:
    for one in _PUNCTUATION[vr]:
        text = text.replace(one, "")
    return _without_offset(vr, text).strip(" \0")


def _time(vr: str, key: str) -> Predicate:
    digits = _TIMES[vr]
    if "-" not in _without_offset(vr, key):
        wanted = _digits(vr, key).ljust(digits, "0")
        return lambda value: _digits(vr, value).ljust(digits, "0") == wanted
    first, last = _bounds(vr, key)

    def matches(value: str) -> bool:
        instant = _digits(vr, value).ljust(digits, "0")
        return instant.isdecimal() and (not first or first <= instant) and (not last or instant <= last)

    return matches


def _combined(date_tag: int, time_tag: int, date_key: str, time_key: str) -> Test:
    """Return a test for one range from a first date and time to a last ones."""
    (first_date, last_date), (first_time, last_time) = _bounds("DA", date_key), _bounds("TM", time_key)
    first = first_date + (first_time or "0" * 12) if first_date else ""
    last = last_date + (last_time or "9" * 12) if last_date else ""

    def matches(entity: Attributes) -> bool:
        if date_tag not in entity or not entity[date_tag].text:
            return False
        time = entity[time_tag].text if time_tag in entity else ""
        instant = _digits("DA", entity[date_tag].text) + _digits("TM", time).ljust(12, "0")
        return instant.isdecimal() and (not first or first <= instant) and (not last or instant <= last)

    return matches
