"""Of two operators that watch one namespace, one looks after a route, and the other takes over when that is gone."""

import random

import pytest

from dicomroute_operator.reconcile.ownership import AGAIN_SECONDS, ANSWER_SECONDS, WAIT_SECONDS, Move, Ownership

US, THEM = "ours/dicomroute", "theirs/dicomroute"


def moves(one: Ownership, *seen: tuple[str, float]) -> list[str]:
    return [one.move("route", named, now)[0].name for named, now in seen]


def test_a_route_of_nobody_and_one_of_its_own_are_worked_on() -> None:
    assert moves(Ownership(US), ("", 0), (US, 1), (US, 1000)) == ["WORK", "WORK", "WORK"]


def test_one_that_finds_another_stands_back_and_asks_once_whether_it_is_there() -> None:
    asked = WAIT_SECONDS + 1
    one = Ownership(US)
    assert moves(one, (THEM, 0), (THEM, WAIT_SECONDS - 1), (THEM, asked)) == ["STAND_BACK", "STAND_BACK", "CLAIM"]
    assert moves(one, (US, asked + 1)) == ["STAND_BACK"], "it may still answer"
    assert moves(one, (THEM, asked + 2), (THEM, asked + AGAIN_SECONDS)) == ["STAND_BACK", "STAND_BACK"], "it did"
    assert moves(one, (THEM, asked + AGAIN_SECONDS + 3)) == ["CLAIM"], "it may be gone since"


def test_one_that_is_gone_is_followed() -> None:
    one, asked = Ownership(US), WAIT_SECONDS + 1
    assert moves(one, (THEM, 0), (THEM, asked)) == ["STAND_BACK", "CLAIM"]
    assert moves(one, (US, asked + ANSWER_SECONDS - 1), (US, asked + ANSWER_SECONDS + 1)) == ["STAND_BACK", "WORK"]


def test_one_that_works_writes_its_name_again() -> None:
    assert moves(Ownership(US), (US, 0), (THEM, 100), (US, 101), (THEM, 300)) == ["WORK"] * 4


def test_a_person_gives_a_route_back_by_taking_the_name_off() -> None:
    one, asked = Ownership(US), WAIT_SECONDS + 1
    assert moves(one, (THEM, 0), (THEM, asked), (THEM, asked + 1), ("", 1e6))[-1] == "WORK"


def test_of_two_that_begin_at_once_one_goes_on() -> None:
    first, second = Ownership("a/dicomroute"), Ownership("b/dicomroute")
    named, last = "", []
    for now in range(40):
        one = (first, second)[now % 2]
        move, _ = one.move("route", named, now)
        last = [*last[-3:], move]
        if move is Move.WORK:
            named = one.name
    assert named == first.name
    assert last == [Move.WORK, Move.STAND_BACK] * 2


@pytest.mark.parametrize("seed", range(20))
def test_however_they_take_turns_they_do_not_fight_without_end(seed: int) -> None:
    chance = random.Random(seed)
    both, now, named, changes = (Ownership("a/x"), Ownership("b/x")), 0, "", []
    for _ in range(1000):
        now += chance.randint(1, 10)
        one = chance.choice(both)
        move, _again = one.move("route", named, now)
        if move is not Move.STAND_BACK and named != one.name:
            named = one.name
            changes.append(now)
    assert len(changes) <= 16 + 2 * now / AGAIN_SECONDS
