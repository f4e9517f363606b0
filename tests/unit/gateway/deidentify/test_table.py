"""The table of PS3.15 E.1-1: as it was made, and held against a second source for every attribute and option."""

import hashlib
import json
from pathlib import Path

import pytest

from dicomroute_gateway.configuration.profile import Option, Profile
from dicomroute_gateway.prepare.deidentify.plan import Action, resolve
from dicomroute_gateway.prepare.deidentify.table import table

ROOT = Path(__file__).parents[4]
SECOND = json.loads((ROOT / "tests/golden/deidentification/second_source.json").read_text())["rows"]
MASKS = {"50XXXXXX", "60XX3000", "60XX4000", "GGGGEEEE"}
"""Groups, which the engine takes out whole."""
CHANGED_SINCE = {
    "00100020": ("Z", "Z/D"),
    "30080105": ("X", "X/Z"),
    "300A00B2": ("X", "X/Z"),
    "30100077": ("D", "X/D"),
}
"""Basic actions that the second source, an older edition, has otherwise."""
OPTIONS_CHANGED_SINCE = {
    ("00203401", "RetainDeviceIdentity"): ("", "K"),
    ("00321021", "RetainDeviceIdentity"): ("K", "C"),
    ("00321033", "CleanDescriptors"): ("", "C"),
    ("00400001", "RetainDeviceIdentity"): ("K", "C"),
    ("00400241", "RetainDeviceIdentity"): ("K", "C"),
    ("00081120", "RetainUIDs"): ("X", "K"),
}
IN_THE_TABLE = sorted(
    {option for row in SECOND.values() for option in row if option != "action"} - {"RetainSafePrivate"}
)


def test_it_is_the_edition_that_profiles_name_and_has_its_checksum() -> None:
    found = table()
    assert (found.edition, len(found.rows)) == ("2026c", 652)
    file = ROOT / "gateway/src/dicomroute_gateway/prepare/deidentify/table_2026c.json"
    document = json.loads(file.read_text())
    body = {key: document[key] for key in ("rows", "safePrivate", "required")}
    assert hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == found.sha256
    assert {one["licence"] for one in document["sources"]} == {"BSD-3-Clause", "Apache-2.0", "MIT"}


@pytest.mark.parametrize("tag", sorted(set(SECOND) - MASKS))
def test_a_basic_action_is_that_of_the_second_source(tag: str) -> None:
    ours, theirs = table().rows[int(tag, 16)].action, SECOND[tag]["action"]
    assert (theirs, ours) == CHANGED_SINCE.get(tag, (ours, ours))


@pytest.mark.parametrize("option", IN_THE_TABLE)
def test_every_cell_of_an_option_is_that_of_the_second_source(option: str) -> None:
    for tag in sorted(set(SECOND) - MASKS):
        ours = table().rows[int(tag, 16)].options.get(option, "")
        expected = OPTIONS_CHANGED_SINCE.get((tag, option), (ours, ours))
        assert (SECOND[tag].get(option, ""), ours) == expected, tag


@pytest.mark.parametrize("option", IN_THE_TABLE)
def test_an_option_changes_what_its_column_says_and_nothing_else(option: str) -> None:
    basic = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32)).entries
    chosen = resolve(Profile(namespace="n", name="p", edition="2026c", options=[option]), bytes(32)).entries
    ids = (0x00100010, 0x00100020)
    for tag, row in table().rows.items():
        letter = row.options.get(option, "")
        expected = {"": None, "K": Action.KEEP, "C": Action.CLEAN}[letter]
        if option == Option.RETAIN_MODIFIED_DATES and letter:
            expected = Action.SHIFT
        if tag not in ids:
            assert (chosen[tag].chosen, chosen[tag].letters) == (expected, basic[tag].letters), f"{tag:08X}"


def test_no_safe_private_attribute_is_text_that_only_one_source_vouches_for() -> None:
    safe = table().safe_private
    assert len(safe) == 83
    text = [key for key, vr in safe.items() if vr in ("LO", "SH", "ST", "LT", "UT", "PN", "SQ", "UN", "OB")]
    assert text == [(b"GEMS_ACQU_01", 0x0019, 0x9E)]


@pytest.mark.parametrize(
    ("letters", "kind", "expected"),
    [
        ("X", None, Action.REMOVE),
        ("X", 2, Action.EMPTY),
        ("X", 1, Action.DUMMY),
        ("Z", None, Action.EMPTY),
        ("Z", 1, Action.DUMMY),
        ("D", None, Action.DUMMY),
        ("X/Z", None, Action.REMOVE),
        ("X/Z", 2, Action.EMPTY),
        ("X/D", None, Action.REMOVE),
        ("X/D", 2, Action.DUMMY),
        ("X/D", 1, Action.DUMMY),
        ("Z/D", None, Action.EMPTY),
        ("Z/D", 1, Action.DUMMY),
        ("X/Z/D", None, Action.REMOVE),
        ("X/Z/D", 2, Action.EMPTY),
        ("X/Z/D", 1, Action.DUMMY),
        ("X/Z/U*", 1, Action.KEEP),
        ("U", 1, Action.UID),
    ],
)
def test_a_compound_action_is_resolved_by_the_type_of_the_attribute(
    letters: str, kind: int | None, expected: Action
) -> None:
    from dicomroute_gateway.prepare.deidentify.plan import Entry

    assert Entry(None, letters).basic(kind, is_known_place=True) is expected


def test_where_the_type_is_unknown_a_compound_action_keeps_most_of_the_structure() -> None:
    from dicomroute_gateway.prepare.deidentify.plan import Entry

    assert [Entry(None, one).basic(None, is_known_place=False) for one in ("X/Z", "X/D", "X/Z/D", "X")] == [
        Action.EMPTY,
        Action.DUMMY,
        Action.DUMMY,
        Action.REMOVE,
    ]
