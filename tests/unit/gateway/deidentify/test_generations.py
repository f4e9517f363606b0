"""Generations of a key: the first one is for new patients, older ones for those whom the recipients know by them."""

import base64
import re

import pytest
from planted.corpus import Planter
from planted.deidentifying import made_of
from planted.encoding import EXPLICIT
from treated_ct import ct

from dicomroute_gateway.configuration.profile import Option, Profile
from dicomroute_gateway.configuration.recipe import Deidentify, Recipe, parse_recipe
from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID
from dicomroute_gateway.prepare.deidentify.plan import Plan, resolve
from dicomroute_gateway.prepare.deidentify.pseudonyms import Noted, Pseudonyms, keys_of
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.prepare.keyed import Keyed, keyed_of
from dicomroute_gateway.spool.part10 import file_head

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
PROFILE = Profile(
    namespace="n", name="p", edition="2026c", options=[Option.RETAIN_MODIFIED_DATES], patient_id_prefix="S-"
)


def plan_of(*keys: bytes, known: set[str] | None = None, noted: Noted | None = None) -> Plan:
    return Keyed(PROFILE, keys, frozenset(known or ())).plan(noted)


def instance(number: int = 1, patient: bytes = b"PID1234") -> bytes:
    head = file_head("1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{number}", EXPLICIT)
    return head + ct(number).replace(b"PID1234 ", patient.ljust(8))


def known_by(key: bytes, patient: bytes = b"PID1234") -> str:
    return Pseudonyms(key).patient_id(b"", patient, "S-")


def test_a_known_patient_keeps_all_that_an_older_key_made_byte_for_byte() -> None:
    before = made_of(instance(), plan_of(FIRST))
    known = {known_by(FIRST)}
    assert made_of(instance(), plan_of(SECOND, FIRST, known=known)) == before
    assert made_of(instance(), plan_of(THIRD, SECOND, FIRST, known=known)) == before
    assert made_of(instance(2), plan_of(SECOND, FIRST, known=known)) == made_of(instance(2), plan_of(FIRST))


def test_a_new_patient_gets_the_first_key_as_if_there_were_no_other() -> None:
    plan = plan_of(SECOND, FIRST, known={known_by(FIRST)})
    new = instance(3, b"PID9999")
    assert made_of(new, plan) == made_of(new, plan_of(SECOND)) != made_of(new, plan_of(FIRST))


def test_each_patient_has_the_key_by_which_he_is_known_and_the_newer_one_of_two() -> None:
    known = {known_by(FIRST, b"PID1111"), known_by(SECOND, b"PID2222")}
    plan = plan_of(THIRD, SECOND, FIRST, known=known)
    for patient, key in ((b"PID1111", FIRST), (b"PID2222", SECOND), (b"PID3333", THIRD)):
        assert made_of(instance(1, patient), plan) == made_of(instance(1, patient), plan_of(key))
    both = plan_of(THIRD, SECOND, FIRST, known={known_by(FIRST), known_by(SECOND)})
    assert made_of(instance(), both) == made_of(instance(), plan_of(SECOND))


def test_without_a_list_of_who_is_known_older_keys_are_not_used() -> None:
    assert made_of(instance(), plan_of(SECOND, FIRST)) == made_of(instance(), plan_of(SECOND))


def test_one_without_a_patient_id_is_known_by_the_study() -> None:
    nameless = instance(1, b"")
    study = Pseudonyms(FIRST).patient_id(b"study", b"1.2.3.4", "S-")
    assert made_of(nameless, plan_of(SECOND, FIRST, known={study})) == made_of(nameless, plan_of(FIRST))


def test_nothing_of_a_key_is_mixed_with_another_in_any_sop_class() -> None:
    instances = [one for one in Planter().corpus(1) if one.sop_class.endswith((".2", ".4", ".128", ".481.3", ".88.22"))]
    noted = Noted()
    for one in instances:
        made_of_or_nothing(one.content, plan_of(FIRST, noted=noted))
    by_first = {IMPLEMENTATION_CLASS_UID, *noted.uids.values()}
    rotated = plan_of(SECOND, FIRST, known=set(noted.patient_ids.values()))
    assert noted.uids
    for one in instances:
        result = made_of_or_nothing(one.content, rotated)
        assert set(re.findall(rb"2\.25\.[0-9]{30,}", result)) <= {uid.encode() for uid in by_first}


def made_of_or_nothing(content: bytes, plan: Plan) -> bytes:
    try:
        return made_of(content, plan)
    except Withheld:
        return b""


def test_looking_for_who_is_known_notes_no_pseudonym_that_is_not_used() -> None:
    noted = Noted()
    made_of(instance(), plan_of(THIRD, SECOND, FIRST, known={known_by(SECOND)}, noted=noted))
    assert noted.patient_ids == {b"PID1234": known_by(SECOND)}


def test_keys_stand_one_a_line_the_newest_first() -> None:
    one, other = (base64.b64encode(key) for key in (FIRST, SECOND))
    assert keys_of(one) == (FIRST,)
    assert keys_of(b"# since 2026-12-01\n" + other + b"\r\n\n  " + one + b"\n") == (SECOND, FIRST)


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        (b"", "there is no key"),
        (b"# none yet\n", "there is no key"),
        (b"not base64!", "line 1 is not base64"),
        (base64.b64encode(FIRST) + b"\nc2hvcnQ=", "the key in line 2 has 5 bytes: it needs at least 32"),
        (b"\n".join([base64.b64encode(FIRST)] * 17), "there are 17 keys"),
        (base64.encodebytes(bytes(range(64))), "the key in line 2 has 7 bytes"),
    ],
)
def test_a_line_that_is_no_key_is_a_sentence_without_a_key(secret: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        keys_of(secret)
    assert base64.b64encode(FIRST).decode() not in str(raised.value)


def test_what_a_process_is_told_says_everything() -> None:
    keyed = Keyed(PROFILE, (SECOND, FIRST), frozenset({known_by(FIRST)}))
    assert keyed_of(keyed.form()) == keyed
    assert FIRST.hex() not in repr(keyed)
    assert resolve(PROFILE, SECOND).known == frozenset()


def test_a_recipe_of_an_earlier_release_keeps_its_id() -> None:
    step = Deidentify(profile=PROFILE, key_file="research/key")
    assert b"knownPatientIDsFile" not in Recipe((step,)).form
    named = step.model_copy(update={"known_patient_ids_file": "ConfigMap-known/known"})
    assert parse_recipe(Recipe((named,)).form) == Recipe((named,))
    assert Recipe((named,)).id != Recipe((step,)).id
    assert Recipe((step,)).id == "408c8e852e505585"
