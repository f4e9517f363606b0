"""Which codes stay: those of public schemes, with the meaning that the scheme gives them (PS3.3 8.8).

A code of a site's own scheme, and a meaning that somebody typed, are free text.
"""

import re
from functools import cache
from typing import Final

_FORMS: Final = {
    "DCM": r"[0-9]{5,6}",
    "SCT": r"[0-9]{6,16}",
    "SRT": r"[A-Z][0-9]?-[0-9A-F]{4,6}",
    "SNM3": r"[A-Z][0-9]?-[0-9A-F]{4,6}",
    "99SDM": r"[A-Z][0-9]?-[0-9A-F]{4,6}",
    "LN": r"[0-9]{1,7}-[0-9]",
    "UCUM": r"1",
    "RADLEX": r"RID[0-9]{1,6}",
    "FMA": r"[0-9]{1,7}",
    "NCIt": r"C[0-9]{1,7}",
    "I10": r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?",
    "I9C": r"[0-9EV][0-9]{2}(\.[0-9]{1,2})?",
    "C4": r"[0-9]{4}[0-9A-Z]",
    "CPT": r"[0-9]{4}[0-9A-Z]",
    "ISO3166_1": r"[A-Z]{2,3}",
    "RFC5646": r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}",
}
"""How values of public schemes are made; of others, and of UCUM, which takes any text, only known ones count."""
_COMPILED: Final = {scheme: re.compile(form) for scheme, form in _FORMS.items()}


def is_public(scheme: str, value: str) -> bool:
    """Return whether a code is one of a public scheme, by the form of its value."""
    form = _COMPILED.get(scheme)
    return (form is not None and form.fullmatch(value) is not None) or meaning(scheme, value) is not None


def meaning(scheme: str, value: str) -> str | None:
    """Return the meaning of a code in PS3.16 and the schemes that it uses, None of one that is not known here."""
    return _meanings().get((scheme, value))


@cache
def _meanings() -> dict[tuple[str, str], str]:
    from pydicom.sr import _concepts_dict  # noqa: PLC0415 -- takes half a second

    concepts: dict[str, dict[str, dict[str, tuple[str, list[int]]]]] = vars(_concepts_dict)["concepts"]
    found: dict[tuple[str, str], str] = {}
    for scheme, keywords in concepts.items():
        for codes in keywords.values():
            for code, (text, _) in codes.items():
                found[scheme, code] = text
    return found
