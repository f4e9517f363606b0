"""The engine on data sets that were made for it: depth, UN, private blocks, pixels, what is withheld; and by chance."""

import io
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted.deidentifying import made_of
from planted.encoding import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, file_of

from dicomroute_gateway.configuration.profile import (
    AttributeAction,
    AttributeRule,
    ObjectAction,
    ObjectRule,
    Profile,
    Region,
    UnlistedText,
)
from dicomroute_gateway.prepare.deidentify.plan import resolve
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.prepare.elements import EXPLICIT as DATA_SET
from dicomroute_gateway.prepare.elements import ITEM, ITEM_END, SEQUENCE_END, Elements
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.part10 import meta_length

CT = b"1.2.840.10008.5.1.4.1.1.2"
US = b"1.2.840.10008.5.1.4.1.1.6.1"


def instance(*elements: Element, sop_class: bytes = CT, syntax: str = EXPLICIT) -> bytes:
    base: dict[int, Element] = {
        one[0]: one
        for one in (
            (0x00080016, "UI", sop_class),
            (0x00080018, "UI", b"1.2.3.4.5"),
            (0x00100020, "LO", b"PID1234"),
            (0x0020000D, "UI", b"1.2.3.4"),
            (0x0020000E, "UI", b"1.2.3.4.1"),
        )
    }
    return file_of([*{**base, **{one[0]: one for one in elements}}.values()], syntax, sop_class.decode(), "1.2.3.4.5")


def made(*elements: Element, sop_class: bytes = CT, syntax: str = EXPLICIT, **profile: object) -> dict[int, bytes]:
    """Return the top-level values of what an instance becomes, sequences left out."""
    import io

    import pydicom

    plan = resolve(Profile.model_validate({"namespace": "n", "name": "p", "edition": "2026c", **profile}), bytes(32))
    result = pydicom.dcmread(io.BytesIO(made_of(instance(*elements, sop_class=sop_class, syntax=syntax), plan)))
    return {int(tag): result.get_item(tag).value for tag in list(result.keys())}


def image(pixels: bytes, rows: int, columns: int, bits: int = 8, samples: int = 1, **more: Element) -> list[Element]:
    numbers = ((0x00280002, samples), (0x00280010, rows), (0x00280011, columns), (0x00280100, bits))
    numbers += ((0x00280101, bits), (0x00280102, bits - 1), (0x00280103, 0), (0x00280006, 0))
    elements: list[Element] = [(tag, "US", struct.pack("<H", number)) for tag, number in numbers]
    photometric = b"RGB" if samples == 3 else b"MONOCHROME2"
    found = [*elements, (0x00280004, "CS", photometric), (0x7FE00010, "OW" if bits > 8 else "OB", pixels)]
    replaced = {one[0]: one for one in more.values()}
    return [replaced.get(one[0], one) for one in found] + [
        v for t, v in replaced.items() if t not in {o[0] for o in found}
    ]


def rule(action: ObjectAction, sop_class: bytes = US, **fields: object) -> list[ObjectRule]:
    return [ObjectRule.model_validate({"name": "r", "sopClassUIDs": [sop_class.decode()], "action": action, **fields})]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_every_native_syntax_gives_the_same_bytes(syntax: str) -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    elements: list[Element] = [
        (0x00100010, "PN", b"Doe^John"),
        (0x00081140, "SQ", [[(0x00081150, "UI", CT), (0x00081155, "UI", b"1.2.3.4.6")]]),
        (0x00280010, "US", struct.pack("<H", 2)),
        (0x00180050, "DS", b"1.5"),
    ]
    assert made_of(instance(*elements, syntax=syntax), plan) == made_of(instance(*elements), plan)


def test_safe_private_elements_stay_with_their_creator_and_no_others() -> None:
    block: list[Element] = [
        (0x00190010, "LO", b"SOMEBODY"),
        (0x00190011, "LO", b"GEMS_ACQU_01"),
        (0x00191023, "DS", b"1.5"),
        (0x00191123, "DS", b"2.5"),
        (0x00191124, "DS", b"John"),
        (0x00191199, "LO", b"John"),
    ]
    found = made(*block, options=["RetainSafePrivate"])
    assert {tag: value for tag, value in found.items() if tag >> 16 == 0x19} == {
        0x00190011: b"GEMS_ACQU_01",
        0x00191123: b"2.5 ",
    }
    assert not [tag for tag in made(*block) if tag >> 16 == 0x19]


def test_what_stands_between_the_parts_of_a_code_stays_in_its_place() -> None:
    """Tags ascend within each item (PS3.5 7.1), also where a code is judged by all of its parts."""
    code: list[Element] = [
        (0x00080100, "SH", b"T-D1100"),
        (0x00080102, "SH", b"SRT"),
        (0x00080104, "LO", b"Head of Qzxmiller"),
        (0x00080106, "DT", b"20260101"),
        (0x0008010B, "CS", b"N"),
        (0x0008010C, "UI", b"1.2.840.10008.2.16.4"),
        (0x0008010F, "CS", b"4031"),
        (0x00080119, "UC", b"LONG"),
        (0x00080121, "SQ", [[(0x00080100, "SH", b"1"), (0x0008010F, "CS", b"2"), (0x00080120, "UR", b"urn:x")]]),
    ]
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    content = made_of(instance((0x00082218, "SQ", [code]), *code), plan)
    at = meta_length(content)
    assert at is not None
    elements = Elements(io.BytesIO(content[at:]), len(content) - at, DATA_SET)
    last, seen = [0], 0
    while (found := elements.header()) is not None:
        tag, vr, size = found
        if tag in (ITEM_END, SEQUENCE_END):
            last.pop()
            continue
        if tag != ITEM:
            assert tag > last[-1], f"{tag:08X} after {last[-1]:08X}"
            last[-1] = tag
            seen += tag == 0x0008010F
        if elements.enter(tag, vr, size):
            last.append(0)
        else:
            elements.value(size)
    assert seen == 4


def test_a_rule_comes_before_the_table_and_never_keeps_a_name() -> None:
    rules = [
        AttributeRule(name="a", tags=["00081030", "00100010", "00100020"], action=AttributeAction.KEEP),
        AttributeRule(name="b", tags=["0018xxxx"], action=AttributeAction.REMOVE),
        AttributeRule(name="c", tags=["00180050"], action=AttributeAction.KEEP),
    ]
    elements: list[Element] = [
        (0x00081030, "LO", b"Trial A"),
        (0x00100010, "PN", b"Doe^John"),
        (0x00180050, "DS", b"1"),
        (0x00180010, "LO", b"Agent"),
    ]
    found = made(*elements, rules=rules)
    assert found[0x00081030] == b"Trial A "
    assert found[0x00100010] == found[0x00100020] != b"PID1234 "
    assert 0x00180050 not in found


@pytest.mark.parametrize(
    ("unlisted", "expected"),
    [(UnlistedText.DUMMY, b"ANONYMIZED"), (UnlistedText.REMOVE, None), (UnlistedText.KEEP, b"left side ")],
)
def test_text_without_a_row_is_as_the_profile_says(unlisted: UnlistedText, expected: bytes | None) -> None:
    assert made((0x00281055, "LO", b"left side"), unlistedText=unlisted).get(0x00281055) == expected


def test_allowed_words_of_a_description_stay() -> None:
    found = made(
        (0x0008103E, "LO", b"CT Head for Dr. Miller"), options=["CleanDescriptors"], allowedTokens=["ct", "head"]
    )
    assert found[0x0008103E] == b"CT Head "
    assert 0x0008103E not in made((0x0008103E, "LO", b"Dr. Miller"), options=["CleanDescriptors"], allowedTokens=["ct"])


def test_what_is_left_of_a_patient_withholds_the_instance() -> None:
    with pytest.raises(Withheld) as withheld:
        made((0x00100010, "PN", b"Miller^Ann"), (0x00281055, "LO", b"for MILLER"), unlistedText=UnlistedText.KEEP)
    assert withheld.value.reason is Reason.IDENTIFIER_LEFT
    assert "iller" not in str(withheld.value)


@pytest.mark.parametrize(
    ("elements", "sop_class", "reason"),
    [
        ([], US, Reason.MAY_SHOW_NAMES),
        ([], b"1.2.840.10008.5.1.4.1.1.7", Reason.MAY_SHOW_NAMES),
        ([], b"1.2.840.10008.5.1.4.1.1.104.1", Reason.MAY_CONTAIN_NAMES),
        ([], b"1.2.840.10008.5.1.4.1.1.88.11", Reason.MAY_CONTAIN_NAMES),
        ([], b"1.2.826.0.1.3680043.1.1", Reason.MAY_CONTAIN_NAMES),
        ([(0x00280301, "CS", b"YES")], CT, Reason.MAY_SHOW_NAMES),
        ([(0x00280301, "CS", b"NO")], US, Reason.MAY_SHOW_NAMES),
        ([(0x00080008, "CS", b"DERIVED\\SECONDARY\\SCREEN SAVE")], CT, Reason.MAY_SHOW_NAMES),
        ([(0x0008103E, "LO", b"Dose Report")], CT, Reason.MAY_SHOW_NAMES),
        ([(0x00081030, "ZZ", b"\0\0\0\0what")], CT, Reason.CANNOT_BE_READ),
    ],
)
def test_what_may_carry_names_or_is_not_understood_is_withheld(
    elements: list[Element], sop_class: bytes, reason: Reason
) -> None:
    with pytest.raises(Withheld) as withheld:
        made(*elements, sop_class=sop_class)
    assert withheld.value.reason is reason


def test_a_transfer_syntax_that_nobody_can_look_into_is_withheld() -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    with pytest.raises(Withheld, match=r"1\.2\.840\.10008\.1\.2\.4\.100"):
        made_of(instance(syntax="1.2.840.10008.1.2.4.100"), plan)


@pytest.mark.parametrize("tail", [b"Doe^John", bytes(16), b"\x08\x00\x80\x10LO\xff\x00short"])
def test_bytes_behind_the_data_set_withhold_it(tail: bytes) -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    with pytest.raises(Withheld):
        made_of(instance() + tail, plan)


def test_a_profile_on_hold_passes_nothing() -> None:
    with pytest.raises(Withheld, match="on hold"):
        made(hold=True)


@pytest.mark.parametrize(("bits", "samples"), [(8, 1), (16, 1), (8, 3)])
def test_a_region_is_black_in_every_frame_and_nothing_else_is(bits: int, samples: int) -> None:
    size = bits // 8 * samples
    frame = bytes(range(1, 6 * 4 * size + 1))
    regions = [Region(left=1, top=2, width=3, height=10)]
    elements = [*image(frame * 2, 4, 6, bits, samples), (0x00280008, "IS", b"2")]
    found = made(*elements, sop_class=US, objects=rule(ObjectAction.MASK, regions=regions))
    expected = bytearray(frame)
    for row in (2, 3):
        expected[(row * 6 + 1) * size : (row * 6 + 4) * size] = bytes(3 * size)
    assert found[0x7FE00010] == bytes(expected) * 2
    assert found[0x00280301] == b"NO"


def test_all_but_the_ultrasound_regions_is_black() -> None:
    corners = ((0x00186018, 1), (0x0018601A, 1), (0x0018601C, 2), (0x0018601E, 3))
    region: list[Element] = [(tag, "UL", struct.pack("<I", number)) for tag, number in corners]
    elements = [*image(b"\7" * 20, 5, 4), (0x00186011, "SQ", [region])]
    found = made(*elements, sop_class=US, objects=rule(ObjectAction.MASK, outsideUltrasoundRegions=True))
    lines = [found[0x7FE00010][at : at + 4] for at in range(0, 20, 4)]
    assert lines == [bytes(4), b"\0\7\7\0", b"\0\7\7\0", b"\0\7\7\0", bytes(4)]
    with pytest.raises(Withheld) as withheld:
        made(*image(b"\7" * 20, 5, 4), sop_class=US, objects=rule(ObjectAction.MASK, outsideUltrasoundRegions=True))
    assert withheld.value.reason is Reason.CANNOT_BE_MASKED


def test_an_overlay_in_the_high_bits_of_pixels_is_cleared() -> None:
    pixels = struct.pack("<4H", 0x8123, 0x0FFF, 0x8000, 0x1001)
    more = {"stored": (0x00280101, "US", struct.pack("<H", 12)), "high": (0x00280102, "US", struct.pack("<H", 11))}
    overlay: Element = (0x60000102, "US", struct.pack("<H", 15))
    found = made(*image(pixels, 2, 2, 16, **more), overlay)
    assert struct.unpack("<4H", found[0x7FE00010]) == (0x0123, 0x0FFF, 0x0000, 0x1001)
    assert not [tag for tag in found if tag >> 16 == 0x6000]


def test_a_sequence_in_un_is_cleaned_within() -> None:
    import io

    import pydicom

    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    hidden: Element = (0x00081140, "UN", [[(0x00081155, "UI", b"1.2.3.4.6"), (0x00081190, "UR", b"http://john")]])
    result = made_of(instance(hidden), plan)
    item = pydicom.dcmread(io.BytesIO(result)).ReferencedImageSequence[0]
    assert b"john" not in result
    assert item.ReferencedSOPInstanceUID == plan.pseudonyms.uid("1.2.3.4.6")


def test_references_and_instances_have_the_same_new_uids() -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    reference: Element = (0x00081140, "SQ", [[(0x00081155, "UI", b"1.2.3.4.5")]])
    new = plan.pseudonyms.uid("1.2.3.4.5").encode()
    assert made_of(instance(reference), plan).count(new) == 3  # meta information, data set, reference


HIDDEN = [b"Dr. Qzxmiller", b"QZXANN", "qzxmiller".encode("utf-16-le"), "Qzxann".encode("utf-16-be"), b"PID1234"]
VALUES = st.one_of(
    st.sampled_from(HIDDEN), st.binary(max_size=40), st.from_regex(rb"[A-Za-z^ .0-9\\]{0,30}", fullmatch=True)
)
TAGS = st.integers(0x00080000, 0x7FDFFFFF)
VRS = st.sampled_from(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "OB", "PN", "SH", "ST", "TM", "UI", "UN", "US", "UT"]
)
LEAF = st.tuples(TAGS, VRS, VALUES)
ANY = st.recursive(
    LEAF, lambda inner: st.tuples(TAGS, st.just("SQ"), st.lists(st.lists(inner, max_size=3), max_size=2)), max_leaves=12
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(ANY, max_size=12), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_whatever_comes_is_passed_without_the_patient_or_withheld(elements: list[Element], syntax: str) -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c", unlisted_text=UnlistedText.KEEP), bytes(32))
    planted: list[Element] = [*elements, (0x00100010, "PN", b"Qzxmiller^Qzxann")]
    try:
        result = made_of(instance(*planted, syntax=syntax), plan)
    except Withheld:
        return
    assert b"qzx" not in result.lower()
    assert b"PID1234" not in result
    assert b"q\0z\0x" not in result.lower()
    again = made_of(instance(*planted, syntax=syntax), plan)
    assert result == again


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_withheld_or_passed_and_nothing_else(data: st.DataObject) -> None:
    plan = resolve(Profile(namespace="n", name="p", edition="2026c"), bytes(32))
    content = bytearray(instance((0x00081140, "SQ", [[(0x00081155, "UI", b"1.2.3.4.6")]]), (0x00100010, "PN", b"Doe")))
    start = content.index(b"\x08\x00\x16\x00UI")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(start, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        made_of(bytes(content[: data.draw(st.integers(start, len(content)))]), plan)
    except Withheld:
        pass
