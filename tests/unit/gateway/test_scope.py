"""What the identifier of a retrieval names."""

import pytest

from dicomroute_gateway.catalogue.keys import UNIQUE_KEYS
from dicomroute_gateway.decoded import Element, Level
from dicomroute_gateway.query.archive import Scope
from dicomroute_gateway.query.identifier import Identifier, IdentifierInvalid
from dicomroute_gateway.query.models import Model
from dicomroute_gateway.query.scope import scope_of

P, S = Model.PATIENT_ROOT, Model.STUDY_ROOT


def identifier(**values: str) -> Identifier:
    keys = {UNIQUE_KEYS[Level(name)]: Element("UI", tuple(value.split("\\"))) for name, value in values.items()}
    return Identifier("", {**keys, 0x00080050: Element("SH", ("ACC1",))})


@pytest.mark.parametrize(
    "model, level, values, relational, scope",
    [
        (P, Level.PATIENT, {"PATIENT": "AB"}, False, Scope(Level.PATIENT, "AB")),
        (P, Level.STUDY, {"PATIENT": "AB", "STUDY": "1\\2\\1"}, False, Scope(Level.STUDY, "AB", ("1", "2"))),
        (S, Level.STUDY, {"PATIENT": "AB", "STUDY": "1"}, False, Scope(Level.STUDY, "", ("1",))),
        (S, Level.SERIES, {"STUDY": "1", "SERIES": "1.1\\1.2"}, False, Scope(Level.SERIES, "", ("1",), ("1.1", "1.2"))),
        (S, Level.SERIES, {"SERIES": "1.1"}, True, Scope(Level.SERIES, "", (), ("1.1",))),
        (
            S,
            Level.IMAGE,
            {"STUDY": "1\\2", "SERIES": "1.1\\2.1", "IMAGE": "1.1.1\\2.1.1"},
            False,
            Scope(Level.IMAGE, "", ("1", "2"), ("1.1", "2.1"), ("1.1.1", "2.1.1")),
        ),
        (P, Level.IMAGE, {"IMAGE": "1.1.1"}, True, Scope(Level.IMAGE, "", (), (), ("1.1.1",))),
    ],
)
def test_everything_that_is_named_is_in_the_scope(
    model: Model, level: Level, values: dict[str, str], relational: bool, scope: Scope
) -> None:
    assert scope_of(model, level, identifier(**values), is_relational=relational) == scope


@pytest.mark.parametrize(
    "model, level, values, relational, sentence",
    [
        (S, Level.STUDY, {}, True, "StudyInstanceUID is missing"),
        (S, Level.STUDY, {"STUDY": ""}, False, "StudyInstanceUID is missing"),
        (S, Level.SERIES, {"SERIES": "1.1"}, False, "StudyInstanceUID is missing"),
        (P, Level.STUDY, {"STUDY": "1"}, False, "PatientID is missing"),
        (P, Level.PATIENT, {"PATIENT": "AB\\CD"}, False, "several values"),
        (P, Level.PATIENT, {"PATIENT": "AB*"}, False, "wild cards"),
        (S, Level.STUDY, {"STUDY": "1", "IMAGE": "1.1.1"}, True, "below the level"),
    ],
)
def test_what_does_not_fit_is_said(
    model: Model, level: Level, values: dict[str, str], relational: bool, sentence: str
) -> None:
    with pytest.raises(IdentifierInvalid, match=sentence):
        scope_of(model, level, identifier(**values), is_relational=relational)
