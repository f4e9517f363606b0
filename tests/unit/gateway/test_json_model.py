"""Data sets in JSON, as servers write them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.dicomweb.json_model import NotDicomJson, decode


def one(**attributes: Any) -> Any:
    (data_set,) = decode(json.dumps([{name.removeprefix("t"): value for name, value in attributes.items()}]).encode())
    return data_set


def text(data_set: Any, tag: int) -> str:
    return str("\\".join(data_set[tag].values))


@pytest.mark.parametrize(
    "attribute, written",
    [
        ({"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]}, "Yamada^Tarou=山田^太郎"),
        ({"vr": "PN", "Value": [{"Alphabetic": "A", "Phonetic": "P"}]}, "A==P"),
        ({"vr": "PN", "Value": [{"Alphabetic": ""}]}, ""),
        ({"vr": "PN", "Value": [None]}, ""),
        ({"vr": "PN"}, ""),
        ({"Value": ["Alder^Anna"]}, "Alder^Anna"),
    ],
)
def test_a_name_has_the_groups_that_it_has(attribute: Any, written: str) -> None:
    assert text(one(t00100010=attribute), 0x00100010) == written


@pytest.mark.parametrize(
    "vr, value, written",
    [
        ("IS", 3, "3"),
        ("IS", "3", "3"),
        ("IS", 3.0, "3"),
        ("DS", "70.50", "70.50"),
        ("DS", 70.5, "70.5"),
        ("DS", 70.0, "70"),
        ("DS", 1 / 3, "0.33333333333333"),
        ("DS", "0.333333333333333333", "0.33333333333333"),
        ("LO", 17, "17"),
    ],
)
def test_a_number_is_written_as_its_vr_is(vr: str, value: Any, written: str) -> None:
    assert text(one(t00101030={"vr": vr, "Value": [value]}), 0x00101030) == written
    assert len(written) <= 16


@pytest.mark.parametrize(
    "attribute",
    [
        {"vr": "IS", "Value": [3.5]},
        {"vr": "DS", "Value": ["NaN"]},
        {"vr": "DS", "Value": [float("inf")]},
        {"vr": "LO", "Value": [{"Alphabetic": "a name"}]},
        {"vr": "OB", "InlineBinary": "AAAA"},
        {"vr": "UT", "BulkDataURI": "https://elsewhere.example/1"},
        "no attribute",
    ],
)
def test_what_is_no_value_is_left_out_and_the_rest_stays(attribute: Any) -> None:
    data_set = one(t00101030=attribute, t00100020={"vr": "LO", "Value": ["AB-1"]})
    assert 0x00101030 not in data_set
    assert text(data_set, 0x00100020) == "AB-1"


def test_attributes_may_lack_their_vr_be_in_small_letters_joined_or_nested() -> None:
    data_set = one(
        t0020000d={"Value": ["1.2.3"]},
        t00080061={"vr": "CS", "Value": ["CT\\MR"]},
        t00280010={"vr": "US", "Value": ["512"]},
        t00400275={"vr": "SQ", "Value": [{"00401001": {"vr": "SH", "Value": ["P1"]}}, None]},
        t00080005={"vr": "CS", "Value": ["ISO_IR 100"]},
        t00080050={"vr": "SH", "Value": []},
        tPatientName={"vr": "PN"},
    )
    assert text(data_set, 0x0020000D) == "1.2.3"
    assert data_set[0x00080061].values == ("CT", "MR")
    assert text(data_set, 0x00280010) == "512"
    assert text(data_set[0x00400275].items[0], 0x00401001) == "P1"
    assert data_set[0x00080050].is_empty
    assert 0x00080005 not in data_set


def test_text_is_in_the_character_set_of_the_answer() -> None:
    document = '[{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller"}]}}]'
    for content, charset in (
        (document.encode(), None),
        (b"\xef\xbb\xbf" + document.encode(), None),
        (document.encode("latin-1"), "iso-8859-1"),
        (document.encode("utf-16"), "utf-16"),
    ):
        assert text(decode(content, charset)[0], 0x00100010) == "Müller"


def test_nothing_and_one_data_set_alone_are_answers() -> None:
    assert decode(b" ") == decode(b"[]") == []
    assert decode(b'{"00100020": {"vr": "LO", "Value": ["AB-1"]}}')[0][0x00100020].text == "AB-1"


@pytest.mark.parametrize("content", [b"<html>", b'"text"', b"[1]", b"\xff\xfe\xfd", b"[" * 100_000])
def test_what_is_no_list_of_data_sets_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(NotDicomJson):
        decode(content)


def test_a_character_set_that_nobody_knows_is_said_to_be_unknown() -> None:
    with pytest.raises(NotDicomJson, match="not known"):
        decode(b"[]", "x-klingon")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["PN", "IS", "DS", "LO", "CS", "UI", "SQ", "US", "FD", "AT", "DA", "xx"]), values)
def test_whatever_stands_there_it_is_read_or_left_out(vr: str, value: Any) -> None:
    document = [{"00101030": {"vr": vr, "Value": value}, "00100020": {"vr": "LO", "Value": ["AB-1"]}}]
    (data_set,) = decode(json.dumps(document).encode())
    assert text(data_set, 0x00100020) == "AB-1"
