"""0 of ten thousand planted identifiers are left, for the Basic Profile and each option; and the checker sees defects.

`make test-deid` runs more of it: DICOMROUTE_DEID_COPIES says how many instances of each SOP class.
"""

import os
import warnings
from collections.abc import Iterator
from functools import cache

import pytest
from planted.checker import Checker
from planted.corpus import DOCUMENTS, REPORTS, STORAGE, Instance, Planter
from planted.defects import DEFECTS
from planted.deidentifying import made_of, plan_of, result_of

from dicomroute_gateway.configuration.profile import Option
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.reasons import Reason

COPIES = int(os.environ.get("DICOMROUTE_DEID_COPIES", "2"))
PROFILES = [(), *((str(option),) for option in Option)]
TOGETHER = ("CleanDescriptors", "CleanGraphics", "CleanStructuredContent", "RetainModifiedDates", "RetainSafePrivate")
SAMPLE = ("2-0.dcm", "1.2-0.dcm", "4.1-0.dcm")


@cache
def corpus() -> tuple[Instance, ...]:
    return tuple(Planter().corpus(COPIES))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was planted in numbers
        yield


def test_the_corpus_is_as_large_as_it_says() -> None:
    made = corpus()
    assert len(made) >= 70
    assert len({one.sop_class for one in made}) >= 30
    assert sum(len(one.planted) for one in made) >= 5000
    assert max(len(planted.path) for one in made for planted in one.planted) > 4


@pytest.mark.parametrize("options", [*PROFILES, TOGETHER], ids=lambda options: "+".join(options) or "Basic")
def test_nothing_that_was_planted_is_left(options: tuple[str, ...]) -> None:
    checker, released, problems = Checker(frozenset(options)), 0, []
    for one in corpus():
        try:
            result = result_of(one, options)
        except Withheld as withheld:
            if withheld.reason is not Reason.MAY_CONTAIN_NAMES:
                problems.append(f"{one.name}: {withheld}")
            continue
        released += 1
        problems += [f"{one.name}: {problem}" for problem in checker.problems(one, result)]
    assert not problems
    free = [one for one in corpus() if not one.sop_class.removeprefix(STORAGE).startswith((*DOCUMENTS, *REPORTS))]
    assert released >= len(free)


@pytest.mark.parametrize("name", DEFECTS)
def test_the_checker_sees_a_defect(name: str) -> None:
    for one in (one for one in corpus() if one.name in SAMPLE):
        checker = Checker()
        for other in corpus():
            if (other.patient, other.name) == (one.patient, one.name) or other.name == "2-1.dcm":
                assert not checker.problems(other, result_of(other))
        defective = DEFECTS[name](one, result_of(one))
        assert checker.problems(one, defective), f"{one.name}: {name}"


def test_there_are_enough_defects() -> None:
    assert len(DEFECTS) >= 40


def test_the_same_input_gives_the_same_bytes_and_another_key_nothing_in_common() -> None:
    for one in corpus()[:12]:
        first, again = result_of(one), made_of(one.content, plan_of())
        assert first == again
        other = made_of(one.content, plan_of((), bytes(32)))
        ours, theirs = _uids(first), _uids(other)
        assert ours
        assert not ours & theirs


def _uids(content: bytes) -> set[bytes]:
    import re

    return set(re.findall(rb"2\.25\.[0-9]{30,}", content)) - {_implementation()}


def _implementation() -> bytes:
    from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID

    return IMPLEMENTATION_CLASS_UID.encode()
