"""Shifts dates by whole days, and rounds ages (PS3.15 E.3.6). Pure."""

import datetime
import re
from typing import Final

_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_OLD_DATE: Final = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_DATE_TIME: Final = re.compile(r"([0-9]{4})([0-9]{2})?([0-9]{2})?([0-9]{2,6}(?:\.[0-9]{1,6})?)?([+-][0-9]{4})?")
_AGE: Final = re.compile(r"([0-9]{3})([DWMY])")
_MOST_YEARS: Final = 90


def shifted(vr: str, text: str, days: int) -> str | None:
    """Return the values of a DA, DT or TM moved by whole days, None if one of them is no date (PS3.5 6.2).

    Precision, fraction and time zone stay; a date without a day, or without a month, keeps its form.
    """
    if vr == "TM":
        return text
    shift = _shifted_date if vr == "DA" else _shifted_date_time
    try:
        return "\\".join(shift(one.strip(" \0"), days) for one in text.split("\\"))
    except (ValueError, OverflowError):
        return None


def _shifted_date(text: str, days: int) -> str:
    if not text:
        return ""
    if found := _DATE.fullmatch(text):
        return f"{_moved(found, days):%Y%m%d}".zfill(8)
    if found := _OLD_DATE.fullmatch(text):
        return f"{_moved(found, days):%Y.%m.%d}".zfill(10)
    raise ValueError("not a date")


def _shifted_date_time(text: str, days: int) -> str:
    if not text:
        return ""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a date and time")
    year, month, day, time, zone = found.groups(default="")
    # Of a date of less precision, its middle is moved: the shift is the same for all, and the form stays.
    moved = datetime.date(int(year), int(month or 7), int(day or 15 if month else 1)) + datetime.timedelta(days)
    form = f"{moved.year:04}" + (f"{moved.month:02}" if month else "") + (f"{moved.day:02}" if day else "")
    return form + time + zone


def _moved(found: re.Match[str], days: int) -> datetime.date:
    year, month, day = map(int, found.groups())
    return datetime.date(year, month, day) + datetime.timedelta(days)


def aged(text: str) -> str | None:
    """Return an age as it is, 90 years for one above 89; None if it is no age (PS3.5 6.2, AS)."""
    found = _AGE.fullmatch(text.strip(" \0"))
    if found is None:
        return None
    number, unit = int(found[1]), found[2]
    years = number // {"Y": 1, "M": 12, "W": 52, "D": 365}[unit]
    return f"{_MOST_YEARS:03}Y" if years >= _MOST_YEARS else found[0]
