"""Pseudonyms, shifted dates, ages, codes and profiles of colours: what stands in the place of a value."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.prepare.deidentify.codes import is_public, meaning
from dicomroute_gateway.prepare.deidentify.dates import aged, shifted
from dicomroute_gateway.prepare.deidentify.pseudonyms import Pseudonyms, is_uid
from dicomroute_gateway.prepare.deidentify.values import dummy, is_proper, without_text

UIDS = st.from_regex(r"[1-2]\.[0-9]{1,3}(\.[1-9][0-9]{0,8}){1,5}", fullmatch=True)


@given(st.binary(min_size=32, max_size=48), UIDS)
def test_a_uid_is_a_uuid_of_version_8_and_the_same_wherever_the_key_is(key: bytes, uid: str) -> None:
    made = Pseudonyms(key).uid(uid)
    assert made == Pseudonyms(key).uid(uid)
    if uid.startswith("1.2.840.10008."):
        assert made == uid
        return
    number = int(made.removeprefix("2.25."))
    assert is_uid(made)
    assert (number >> 76 & 0xF, number >> 62 & 3, number >> 128) == (8, 2, 0)


@given(UIDS, UIDS)
def test_two_uids_do_not_become_one(one: str, other: str) -> None:
    pseudonyms = Pseudonyms(bytes(32))
    assert (pseudonyms.uid(one) == pseudonyms.uid(other)) is (one == other)


def test_uids_of_the_standard_stand_for_themselves() -> None:
    assert Pseudonyms(bytes(32)).uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"


def test_issuer_and_id_are_told_apart() -> None:
    pseudonyms = Pseudonyms(bytes(32))
    assert pseudonyms.patient_id(b"A", b"BC", "") != pseudonyms.patient_id(b"AB", b"C", "")
    assert pseudonyms.patient_id(b"", b"1", "STUDY-").startswith("STUDY-")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Pseudonyms(bytes(31))


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_a_shift_is_between_a_day_and_a_year_back(issuer: bytes, patient: bytes) -> None:
    assert -365 <= Pseudonyms(bytes(32)).shift_days(issuer, patient) <= -1


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("DA", "20240301", "20240229"),
        ("DA", "20240101\\20240301", "20231231\\20240229"),
        ("DA", "2024.03.01", "2024.02.29"),
        ("DA", "", ""),
        ("DA", "2024", None),
        ("DA", "20240230", None),
        ("DA", "yesterday", None),
        ("DT", "20240301120000.123456+0100", "20240229120000.123456+0100"),
        ("DT", "202403011200", "202402291200"),
        ("DT", "20240301", "20240229"),
        ("DT", "202403", "202403"),
        ("DT", "2024", "2024"),
        ("DT", "2024-0500", "2024-0500"),
        ("DT", "20241301", None),
        ("TM", "120000", "120000"),
    ],
)
def test_a_date_moves_and_keeps_its_form(vr: str, value: str, expected: str | None) -> None:
    assert shifted(vr, value, -1) == expected


@given(st.dates(min_value=__import__("datetime").date(1800, 1, 1)), st.integers(-365, -1))
def test_moving_back_and_forth_gives_the_same_date(day: object, days: int) -> None:
    text = f"{day:%Y%m%d}"
    moved = shifted("DA", text, days)
    assert moved is not None
    assert shifted("DA", moved, -days) == text


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("045Y", "045Y"),
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("097Y", "090Y"),
        ("999M", "999M"),
        ("old", None),
        ("", None),
    ],
)
def test_ages_above_89_are_90(age: str, expected: str | None) -> None:
    assert aged(age) == expected


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("CS", b"HEAD", True),
        ("CS", b"Head", False),
        ("CS", b"DOE^JOHN", False),
        ("CS", b"A" * 17, False),
        ("DS", b"1.5\\-2e3", True),
        ("DS", b"John", False),
        ("IS", b"12", True),
        ("IS", b"12a", False),
        ("UI", b"1.2.3\0", True),
        ("UI", b"John", False),
        ("DA", b"20240101", True),
        ("DA", b"John", False),
        ("TM", b"1200", True),
        ("TM", b"noon", False),
    ],
)
def test_a_value_is_what_its_vr_says_or_it_is_not(vr: str, value: bytes, expected: bool) -> None:
    assert is_proper(vr, value) is expected


@pytest.mark.parametrize(
    "vr", ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "TM", "UI", "UR", "US", "FD", "OB"]
)
def test_a_dummy_is_a_value_of_its_vr(vr: str) -> None:
    made = dummy(vr, 20)
    assert made
    assert vr in ("UI",) or is_proper(vr, made)


def test_codes_of_public_schemes_are_known_and_others_are_free_text() -> None:
    assert is_public("DCM", "113691")
    assert is_public("SCT", "39607008")
    assert meaning("DCM", "113691") == "IEC Body Dosimetry Phantom"
    assert not is_public("99LOCAL", "JOHN")
    assert not is_public("UCUM", "DOE^JOHN")
    assert is_public("UCUM", "mm")


def test_a_profile_of_colours_has_no_text_any_more() -> None:
    text = b"desc" + bytes(4) + b"scanned at General Hospital".ljust(40, b"\0")
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    offset = 132 + 24
    tags = struct.pack(">I4sII4sII", 2, b"desc", offset, len(text), b"rTRC", offset + len(text), len(curve))
    profile = bytes(36) + b"acsp" + bytes(88) + tags + text + curve
    cleaned = without_text(profile)
    assert cleaned is not None
    assert b"Hospital" not in cleaned
    assert cleaned.endswith(curve)
    assert len(cleaned) == len(profile)
    assert without_text(b"no profile") is None
