"""Rules: what compiles, what each mistake is told, and where instances go."""

import struct

import pytest

from dicomroute_gateway.configuration.destinations import DestinationKey
from dicomroute_gateway.configuration.rules import Rule, Rules
from dicomroute_gateway.destination import name_of
from dicomroute_gateway.rules.attributes import ATTRIBUTES
from dicomroute_gateway.rules.expression import EvaluationError, ExpressionError, compile_expression
from dicomroute_gateway.rules.head import RawElement
from dicomroute_gateway.rules.routing import Routing, compile_rules

EXPLICIT = "1.2.840.10008.1.2.1"


def rules(*pairs: tuple[str, str], matching: str = "All") -> Rules:
    return Rules.model_validate(
        {
            "matching": matching,
            "unmatched": "Hold",
            "rules": [
                Rule(name=f"r{number}", when=when, destinations=[DestinationKey(kind="CloudTarget", name=name)])
                for number, (when, name) in enumerate(pairs)
            ],
        }
    )


def elements(**values: str | int) -> dict[int, RawElement]:
    found = {}
    for keyword, value in values.items():
        attribute = ATTRIBUTES[keyword]
        data = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        found[attribute.tag] = RawElement(attribute.vr, data)
    return found


def association(calling: str = "CT1") -> dict[str, str]:
    return {"callingAETitle": calling, "calledAETitle": "GATE", "address": "192.0.2.1", "listener": "dicom"}


def route(some_rules: Rules, calling: str = "CT1", **values: str | int) -> Routing:
    return compile_rules(some_rules).route(elements(**values), EXPLICIT, association(calling))


def names(routing: Routing) -> list[str]:
    return [name_of(destination) for destination in routing.destinations]


@pytest.mark.parametrize(
    "when, matches",
    [
        ('instance.Modality == "CT"', True),
        ('instance.Modality in ["MR", "CT"]', True),
        ('instance.StudyDescription.contains("RESEARCH")', False),
        ('instance.StudyDescription == ""', True),
        ('"ORIGINAL" in instance.ImageType', True),
        ("size(instance.OtherPatientIDs) == 0", True),
        ("instance.Rows > 256 && instance.Rows <= 512", True),
        ("instance.Columns == null", True),
        ("instance.SliceThickness != null && instance.SliceThickness < 2.0", True),
        ('association.callingAETitle.startsWith("CT")', True),
        ('association.listener == "dicom" && association.address == "192.0.2.1"', True),
        ('instance.TransferSyntaxUID == "1.2.840.10008.1.2.1"', True),
        ('instance.PatientName.matches("^M[uü]ller")', True),
    ],
)
def test_conditions_over_keywords_and_facts(when: str, matches: bool) -> None:
    routing = route(
        rules((when, "a")),
        Modality="CT",
        ImageType="ORIGINAL\\PRIMARY",
        Rows=512,
        SliceThickness="1.25 ",
        PatientName="Müller^Eva",
        SpecificCharacterSet="ISO_IR 192",
    )
    assert routing.outcomes[0].error == ""
    assert routing.outcomes[0].matched is matches


@pytest.mark.parametrize(
    "when, sentence",
    [
        ('instance.Modalty == "CT"', "did you mean instance.Modality?"),
        ('instance.PixelData == ""', "no bulk data"),
        ("instance.ProcedureCodeSequence == 1", "no sequences"),
        ('instance.Rows == "512"', "line 1, column 15"),
        ("instance.SliceThickness > 1", "such as 1.0"),
        ("instance.Rows", "must be true or false"),
        ('instance["Modality"] == "CT"', "such as instance.Modality"),
        ('association.aet == ""', "callingAETitle"),
        ("1 +", "Syntax error"),
        ("", "Syntax error"),
        ("x" * 2049, "at most 2048 characters"),
    ],
)
def test_a_mistake_in_a_condition_is_told_with_what_to_do(when: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(when)
    assert sentence in str(caught.value)


def test_a_mistake_names_its_rule() -> None:
    with pytest.raises(ExpressionError, match=r"rule r1: instance\.Modalty"):
        compile_rules(rules(("", "a"), ("instance.Modalty == ''", "b")))


def test_all_rules_that_match_name_destinations_each_once() -> None:
    some = rules(("", "a"), ('instance.Modality == "CT"', "b"), ('instance.Modality == "MR"', "c"), ("", "a"))
    assert names(route(some, Modality="CT")) == ["a", "b"]


def test_only_the_first_rule_that_matches_counts() -> None:
    some = rules(('instance.Modality == "MR"', "a"), ('instance.Modality == "CT"', "b"), ("", "c"), matching="First")
    assert names(route(some, Modality="CT")) == ["b"]
    assert names(route(some, Modality="US")) == ["c"]


def test_a_rule_without_an_answer_stops_itself_alone() -> None:
    some = rules(("instance.Rows > 5", "a"), ("", "b"))
    routing = route(some, Modality="CT")
    assert names(routing) == ["b"]
    assert routing.error.startswith("rule r0:")


def test_where_the_first_match_counts_nothing_behind_a_rule_without_an_answer_is_asked() -> None:
    some = rules(("instance.Rows > 5", "a"), ("", "b"), matching="First")
    routing = route(some, Modality="CT")
    assert names(routing) == []
    assert routing.error.startswith("rule r0:")


@pytest.mark.parametrize("value", ["abc", "1\\2"])
def test_a_value_that_does_not_fit_is_an_error_not_a_wrong_answer(value: str) -> None:
    routing = route(rules(("instance.InstanceNumber == 1", "a")), InstanceNumber=value)
    assert "InstanceNumber" in routing.error


def test_an_index_past_the_end_has_no_answer() -> None:
    expression = compile_expression('instance.ImageType[3] == "X"')
    with pytest.raises(EvaluationError):
        expression.evaluate({"ImageType": ["A"]}, {})


def test_what_was_answered_before_is_answered_for_equal_values_alone() -> None:
    some = rules(
        ('instance.Rows > 256 || association.callingAETitle == "MR1"', "a"),
        ('instance.StudyDescription.contains("ü") && instance.TransferSyntaxUID == "1.2.840.10008.1.2.1"', "b"),
    )
    asked = [
        (elements(Rows=512, StudyDescription="kühl"), EXPLICIT, "CT1"),
        (elements(Rows=2, StudyDescription="kühl"), EXPLICIT, "CT1"),
        (elements(Rows=2, StudyDescription="kühl"), EXPLICIT, "MR1"),
        (elements(Rows=2, StudyDescription="kühl"), "1.2.840.10008.1.2.2", "CT1"),
        (elements(Rows=2, StudyDescription="kühl", SpecificCharacterSet="ISO_IR 100"), EXPLICIT, "CT1"),
        (elements(Rows=2, StudyDescription="kühl", SpecificCharacterSet="ISO_IR 192"), EXPLICIT, "CT1"),
        ({ATTRIBUTES["Rows"].tag: RawElement("US", b"\x02\0\0\x02")}, EXPLICIT, "CT1"),
        ({ATTRIBUTES["Rows"].tag: RawElement("UL", b"\x02\0\0\x02")}, EXPLICIT, "CT1"),
        ({}, EXPLICIT, "CT1"),
    ]
    compiled = compile_rules(some)
    alone = [compile_rules(some).route(found, syntax, association(calling)) for found, syntax, calling in asked]
    assert len({(tuple(names(one)), one.error) for one in alone}) > 4
    for _ in range(2):
        for (found, syntax, calling), expected in zip(asked, alone, strict=True):
            assert compiled.route(found, syntax, association(calling)) == expected


def test_equal_values_are_asked_about_once_and_long_ones_are_not_kept() -> None:
    compiled = compile_rules(rules(('instance.StudyDescription.contains("k")', "a")))
    short, long = elements(StudyDescription="kk"), elements(StudyDescription="k" * 5000)
    of_another_instance = {**short, **elements(SOPInstanceUID="1.2.3")}
    assert compiled.route(short, EXPLICIT, association()) is compiled.route(
        of_another_instance, EXPLICIT, association()
    )
    assert compiled.route(long, EXPLICIT, association()) is not compiled.route(long, EXPLICIT, association())
