"""Attribute matching of C-FIND (PS3.4 C.2.2.2), beside the oracle of tests/support/find_oracle.py."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.decoded import Attributes, Element
from dicomroute_gateway.query.matching import Matcher, is_universal, matching_items

TAGS = {"LO": 0x00081030, "PN": 0x00100010, "DA": 0x00080020, "TM": 0x00080030, "DT": 0x0008002A, "IS": 0x00200011,
        "UI": 0x0020000D, "CS": 0x00080061, "LT": 0x00104000, "SQ": 0x00400275, "DS": 0x00101020}  # fmt: skip


def matches(vr: str, key: str | tuple[str, ...], *values: str) -> bool:
    wanted = (key,) if isinstance(key, str) else key
    tag = TAGS[vr]
    return Matcher({tag: Element(vr, wanted)}).matches({tag: Element(vr, values)})


@pytest.mark.parametrize(
    ("vr", "key", "value", "wanted"),
    [
        ("LO", "Knee", "Knee", True),
        ("LO", "Knee", "knee", False),
        ("LO", "Knee", " Knee ", True),
        ("LO", "Kn??", "Knee", True),
        ("LO", "Kn?", "Knee", False),
        ("LO", "*ee*ee*", "Knee", False),
        ("LO", "*e*e", "Knee", True),
        ("LO", "K*n*e*e", "Knee", True),
        ("LO", "?*", "", False),
        ("LO", "*", "", True),
        ("LO", "", "", True),
        ("LO", "100%_", "100%_", True),
        ("LO", "100%_", "100 mg", False),
        ("LO", "[a-z]", "b", False),
        ("LO", "a.c", "abc", False),
        ("LT", " a", "a", False),
        ("LT", "a*b", "a\nb", True),
        ("CS", ("CT", "MR"), "MR", True),
        ("CS", ("CT", "MR"), "US", False),
        ("UI", ("1.2.3", "1.2.4"), "1.2.4", True),
        ("UI", "1.2.*", "1.2.3", False),
        ("IS", "007", "7", True),
        ("IS", "+7", "7", True),
        ("IS", "7", "70", False),
        ("IS", "*", "7", False),
        ("DS", "70.50", "70.5", True),
        ("DS", "7e1", "70", True),
        ("IS", "7", "seven", False),
        ("DA", "20240229", "20240229", True),
        ("DA", "20240229", "2024.02.29", True),
        ("DA", "20240101-20240131", "20240131", True),
        ("DA", "20240101-20240131", "20240201", False),
        ("DA", "-20240131", "19990101", True),
        ("DA", "20240101-", "20240101", True),
        ("DA", "20240101-", "20231231", False),
        ("DA", "20240101-", "", False),
        ("DA", "-", "20240101", True),
        ("DA", "20240101-20241231", "not a date", False),
        ("DA", "2024*", "20240101", False),
        ("TM", "1030", "103000.000000", True),
        ("TM", "1030", "103001", False),
        ("TM", "-12", "125959.999999", True),
        ("TM", "-12", "13", False),
        ("TM", "10-", "10", True),
        ("TM", "10:30-11:30", "110000", True),
        ("TM", "103000.5-", "103000.49", False),
        ("DT", "20240101-20240131", "20240115103000+0100", True),
        ("DT", "20240115103000-0500", "20240115103000", True),
        ("DT", "2024-", "20231231", False),
        ("PN", "Alder^Anna", "ALDER^ANNA", True),
        ("PN", "alder*", "Alder^Anna", True),
        ("PN", "Alder", "Alder^Anna", False),
        ("PN", "Alder^Anna^^", "Alder^Anna", True),
        ("PN", "Alder^Anna", "Alder^Anna^^^=", True),
        ("PN", "山田*", "Yamada^Tarou=山田^太郎=やまだ", True),
        ("PN", "=山田*", "Yamada^Tarou=山田^太郎=やまだ", True),
        ("PN", "=Yamada*", "Yamada^Tarou=山田^太郎=やまだ", False),
        ("PN", "Yamada*=*=やまだ", "Yamada^Tarou=山田^太郎=やまだ", True),
        ("PN", "Müller", "Müller", True),
        ("PN", "MU\u0308LLER", "m\u00fcller", True),
        ("PN", "Muller", "Müller", False),
        ("PN", "STRASSE", "Straße", True),
        ("PN", "İ*", "İpek", True),
        ("PN", "*'*", "O'Hara", True),
    ],
)  # fmt: skip
def test_one_key_with_one_value(vr: str, key: str | tuple[str, ...], value: str, wanted: bool) -> None:
    assert matches(vr, key, value) is wanted


def test_any_of_several_values_matches() -> None:
    assert matches("CS", "MR", "CT", "MR")
    assert not matches("CS", "US", "CT", "MR")


def test_an_attribute_that_is_not_there_matches_universal_keys_alone() -> None:
    assert Matcher({TAGS["LO"]: Element("LO")}).matches({})
    assert Matcher({TAGS["LO"]: Element("LO", ("*",))}).matches({})
    assert not Matcher({TAGS["LO"]: Element("LO", ("a",))}).matches({})
    assert not Matcher({TAGS["DA"]: Element("DA", ("-20240101",))}).matches({TAGS["DA"]: Element("DA")})


def test_all_keys_hold_at_once() -> None:
    keys = {TAGS["LO"]: Element("LO", ("K*",)), TAGS["CS"]: Element("CS", ("CT",))}
    assert Matcher(keys).matches({TAGS["LO"]: Element("LO", ("Knee",)), TAGS["CS"]: Element("CS", ("CT",))})
    assert not Matcher(keys).matches({TAGS["LO"]: Element("LO", ("Knee",)), TAGS["CS"]: Element("CS", ("MR",))})


def test_dates_and_times_are_one_range_where_that_was_agreed() -> None:
    keys = {TAGS["DA"]: Element("DA", ("20240101-20240102",)), TAGS["TM"]: Element("TM", ("2200-0200",))}
    late = {TAGS["DA"]: Element("DA", ("20240101",)), TAGS["TM"]: Element("TM", ("2300",))}
    early = {TAGS["DA"]: Element("DA", ("20240102",)), TAGS["TM"]: Element("TM", ("0100",))}
    noon = {TAGS["DA"]: Element("DA", ("20240101",)), TAGS["TM"]: Element("TM", ("1200",))}
    combined = Matcher(keys, has_combined_date_time=True)
    assert [combined.matches(one) for one in (late, early, noon)] == [True, True, False]
    assert [Matcher(keys).matches(one) for one in (late, early, noon)] == [False, False, False]


def test_a_sequence_matches_by_one_item() -> None:
    step, code = 0x00401001, 0x00080100

    def item(identifier: str, value: str) -> Attributes:
        return {step: Element("SH", (identifier,)), code: Element("SH", (value,))}

    stored = Element("SQ", (), (item("A", "1"), item("B", "2")))

    def key(**wanted: str) -> Element:
        return Element("SQ", (), ({step: Element("SH", (wanted["a"],)), code: Element("SH", (wanted["b"],))},))

    def asks(one: Element) -> bool:
        return Matcher({TAGS["SQ"]: one}).matches({TAGS["SQ"]: stored})

    assert asks(key(a="A", b="1"))
    assert not asks(key(a="A", b="2")), "one item has to have both"
    assert asks(key(a="", b=""))
    assert is_universal(Element("SQ"))
    assert is_universal(Element("SQ", (), ({},)))
    assert [one[step].text for one in matching_items(key(a="B", b=""), stored)] == ["B"]
    assert len(matching_items(Element("SQ"), stored)) == 2


TEXT = st.text("ab*?.^é\\[", max_size=12)


@given(TEXT, st.text("ab.^é\\[", max_size=12))
def test_wild_cards_are_what_a_regular_expression_says(key: str, value: str) -> None:
    pattern = "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in key)
    wanted = not key or set(key) == {"*"} or (bool(value) and re.fullmatch(pattern, value, re.DOTALL) is not None)
    assert matches("LO", key, *([value] if value else [])) is wanted


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="*?=\\"), min_size=1, max_size=20))
def test_a_name_matches_itself_whatever_its_letters_are(name: str) -> None:
    if name.strip(" ^"):
        assert matches("PN", name, name)


def test_a_hostile_pattern_costs_no_more_than_its_length() -> None:
    begin = time.perf_counter()
    assert not matches("LO", "*a" * 200 + "b", "a" * 5000)
    assert not matches("LO", "*a?" * 100 + "*b", "a" * 5000)
    assert time.perf_counter() - begin < 1
