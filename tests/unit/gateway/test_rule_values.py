"""What rules see of a value is what its bytes say, or the value is unusable and the rule has no answer."""

import string
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomroute_gateway.configuration.destinations import DestinationKey
from dicomroute_gateway.configuration.rules import Rule, Rules
from dicomroute_gateway.rules.attributes import ATTRIBUTES, ValueUnusable, value_of
from dicomroute_gateway.rules.expression import compile_expression
from dicomroute_gateway.rules.head import RawElement
from dicomroute_gateway.rules.routing import Routing, compile_rules

EXPLICIT = "1.2.840.10008.1.2.1"
FACTS = {"callingAETitle": "CT1", "calledAETitle": "GATE", "address": "192.0.2.1", "listener": "dicom"}
TARGET = DestinationKey(kind="CloudTarget", name="a")


def route(when: str, *, facts: dict[str, str] = FACTS, **values: bytes) -> Routing:
    rules = Rules.model_validate(
        {"matching": "All", "unmatched": "Hold", "rules": [Rule(name="r", when=when, destinations=[TARGET])]}
    )
    return compile_rules(rules).route(raw(**values), EXPLICIT, facts)


def raw(**values: bytes) -> dict[int, RawElement]:
    return {ATTRIBUTES[k].tag: RawElement(ATTRIBUTES[k].vr, value) for k, value in values.items()}


@pytest.mark.parametrize(
    "value",
    [
        b"CHEST\0OBJECTED",
        b"\0OBJECTED",
        "CHEST\ufeffOBJECTED".encode(),
        "\ufeffOBJECTED".encode(),
        "OBJECTED\ufffe".encode(),
        "\uffffOBJECTED".encode(),
        b"\xed\xa0\x80OBJECTED",  # a surrogate as CESU-8 has it
    ],
)
@pytest.mark.parametrize(
    "when", ['!instance.StudyDescription.contains("OBJECTED")', 'instance.StudyDescription != "OBJECTED"']
)
def test_a_text_that_a_library_would_see_otherwise_is_held_and_never_sent(when: str, value: bytes) -> None:
    routing = route(when, StudyDescription=value, SpecificCharacterSet=b"ISO_IR 192")
    assert routing.destinations == ()
    assert routing.error.startswith("rule r: StudyDescription ")


def test_one_value_of_a_list_is_looked_at_like_one_alone() -> None:
    assert route('!("DERIVED" in instance.ImageType)', ImageType=b"ORIGINAL\\DERIVED\0X").error
    assert route('size(instance.ImageType) == 2 && instance.ImageType[1] == "B"', ImageType=b"A \\B\0").error == ""


@pytest.mark.parametrize("number", [1 << 63, (1 << 64) - 1])
def test_an_integer_that_cel_does_not_have_is_held(number: int) -> None:
    one = {ATTRIBUTES["SelectorUVValue"].tag: RawElement("UV", struct.pack("<Q", number))}
    with pytest.raises(ValueUnusable):
        value_of(ATTRIBUTES["SelectorUVValue"], one)


@pytest.mark.parametrize("text", [b"9" * 20, b"-" + b"9" * 20, b"1" * 65])
def test_an_integer_string_beyond_64_bits_is_held(text: bytes) -> None:
    assert route("instance.NumberOfFrames != 7", NumberOfFrames=text).error


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"1" * 65, b"1" * 65_534])
def test_a_decimal_string_that_is_no_double_is_held(text: bytes) -> None:
    assert route("instance.SliceThickness != 7.0", SliceThickness=text).error


@pytest.mark.parametrize("title", ["CT\0X", "CT\\xff", "CT\n1", "CTé"])
def test_a_title_that_is_none_is_no_fact(title: str) -> None:
    routing = route('association.callingAETitle != "MR1"', facts={**FACTS, "callingAETitle": title})
    assert routing.error.startswith("rule r: association.callingAETitle ")
    assert route('association.listener == "dicom"', facts={**FACTS, "callingAETitle": title}).error == ""


@pytest.mark.parametrize("text", [b"1.0", b"1.", b" 1.00 ", b"+1"])
def test_an_integer_string_with_an_empty_fraction_is_an_integer(text: bytes) -> None:
    assert route("instance.NumberOfFrames == 1", NumberOfFrames=text).destinations == (TARGET.destination,)


@pytest.mark.parametrize("text", [b"1.5", b"1.0.0", b"1,0", b"0x1", b"1e3"])
def test_an_integer_string_that_is_no_integer_is_held(text: bytes) -> None:
    assert route("instance.NumberOfFrames == 1", NumberOfFrames=text).error


# Characters of Unicode that are the same in all of them, and those that differ from one to the next.
@pytest.mark.parametrize(
    "term, value, text",
    [
        (b"ISO_IR 203", b"K\xa4 \xbd", "K€ œ"),
        (b"ISO_IR 203 ", "ü".encode("iso8859_15"), "ü"),
        (b"\\ISO 2022 IR 203", b"a\x1b-b\xa4", "a€"),
        (b"ISO_IR 100", b"K\xa4", "K¤"),
        (b"ISO_IR 13", b"\xd4\xcf", "ﾔﾏ"),
    ],
)
def test_a_text_is_read_in_its_character_set(term: bytes, value: bytes, text: str) -> None:
    found = route(f'instance.PatientID == "{text}"', PatientID=value, SpecificCharacterSet=term)
    assert (found.error, found.destinations) == ("", (TARGET.destination,))


MISSPELT = [b"ISO-IR 100", b"ISO IR 192", b"ISO_IR100", b"iso_ir 100", b"UTF-8", b"ISO8859-1", b"ISO_IR 1OO"]


@pytest.mark.parametrize("term", MISSPELT)
def test_a_misspelt_character_set_is_no_matter_for_pure_ascii(term: bytes) -> None:
    found = route('instance.PatientID == "QX-1"', PatientID=b"QX-1", SpecificCharacterSet=term)
    assert (found.error, found.destinations) == ("", (TARGET.destination,))


@pytest.mark.parametrize(
    "term, value",
    [
        *((term, "ü".encode()) for term in MISSPELT),
        (b"ISO-IR 100", b"a\x1b$B0"),
        (b"ISO_IR 999", b"QX-1"),
        (b"ISO 2022 IR 999", b"QX-1"),
        (b"ISO_IR 100 or another one", b"QX-1"),
        (b"ISO_IR\n100", b"QX-1"),
        (b"ISO_IR 13", b"\x83\x41"),  # two bytes that the library takes for a character of Shift JIS
    ],
)
def test_every_other_text_of_an_unknown_character_set_is_held(term: bytes, value: bytes) -> None:
    assert route('instance.PatientID != "nobody"', PatientID=value, SpecificCharacterSet=term).error


SEEN = compile_expression('instance.PatientID == instance.PatientID && instance.PatientID.matches("")')


@given(st.text())
@example("a\0b")
def test_every_text_comes_to_rules_as_it_is_or_not_at_all(text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    one = raw(OtherPatientIDs=data, SpecificCharacterSet=b"ISO_IR 192")
    try:
        values = value_of(ATTRIBUTES["OtherPatientIDs"], one)
    except ValueUnusable:
        return
    assert isinstance(values, list)
    assert "\\".join(map(str, values)).strip(" ") == "\\".join(
        part.lstrip(" ").rstrip(" \0") for part in text.split("\\")
    ).strip(" ")
    for value in values:
        assert seen_by_cel(str(value)) == value


@given(st.binary(max_size=40), st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87"]))
def test_whatever_the_bytes_are_cel_sees_the_text_that_was_decoded(data: bytes, term: bytes) -> None:
    try:
        values = value_of(ATTRIBUTES["OtherPatientIDs"], raw(OtherPatientIDs=data, SpecificCharacterSet=term))
    except ValueUnusable:
        return
    assert isinstance(values, list)
    for value in values:
        assert seen_by_cel(str(value)) == value


@given(st.text(alphabet=string.digits + ".+-eE ", max_size=70))
def test_whatever_a_number_is_cel_sees_the_number_that_was_read(text: str) -> None:
    for keyword, vr in (("NumberOfFrames", "IS"), ("SliceThickness", "DS")):
        try:
            value = value_of(ATTRIBUTES[keyword], {ATTRIBUTES[keyword].tag: RawElement(vr, text.encode())})
        except ValueUnusable:
            continue
        if value is not None:
            expression = compile_expression(f"instance.{keyword} == {value!r}")
            assert expression.evaluate({keyword: value}, FACTS)


def seen_by_cel(value: str) -> str:
    """Return a text as the library hands it back."""
    program = _identity()
    return str(program.eval(data={"instance.PatientID": value}).value())


def _identity() -> object:
    from dicomroute_gateway.rules.expression import _environment

    return _environment(checked=False).compile("instance.PatientID")
