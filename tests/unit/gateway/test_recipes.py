"""Recipes on record: what was promised to a destination stays so, and no gateway that ignores it opens the spool."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spools import open_spool, received, store

from dicomroute_gateway.configuration.holds import CONFLICTING_TREATMENT
from dicomroute_gateway.configuration.recipe import AS_IT_CAME, Recipe, Transcode, parse_recipe
from dicomroute_gateway.configuration.rules import Rules
from dicomroute_gateway.rules.decide import hold_reason
from dicomroute_gateway.rules.routing import Routing, compile_rules
from dicomroute_gateway.spool.content import RECIPE_MISSING, Unreadable
from dicomroute_gateway.spool.errors import SpoolError
from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import AgainRecord, DeliveryRecord, DeliveryState, decode_record, encode_record
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Owed, Rerouting, Treatment

IMPLICIT = Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2"),))
EXPLICIT = Recipe((Transcode(transfer_syntax_uid="1.2.840.10008.1.2.1"),))
A, B = "CloudTarget/a", "CloudTarget/b"


def store_treated(spool: Spool, recipe: Recipe, destinations: tuple[str, ...] = (A, B), treated: str = B) -> int:
    """Receive an instance that one of its destinations is to get as a recipe makes it."""
    spool.keep_recipes([recipe])
    incoming = spool.begin("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
    incoming.write(memoryview(bytes(100)))
    incoming.flush()
    record = replace(received(incoming.id, destinations), digest=incoming.digest, recipes={treated: recipe.id})
    spool.receive(incoming, record)
    return incoming.id


def recipes_of(spool: Spool, identifier: int) -> dict[str, str]:
    (entry,) = spool.entries(lambda one: one.received.id == identifier)
    return {name: delivery.recipe for name, delivery in entry.deliveries.items()}


def spool_format(folder: Path) -> str:
    return (folder / "spool" / "format").read_text()


def test_a_record_without_a_recipe_is_written_as_the_format_before_wrote_it() -> None:
    for record in (received(1), DeliveryRecord(1, A, DeliveryState.PENDING), AgainRecord(1, (A,))):
        assert b"recipe" not in encode_record(record)
    treated = replace(received(1), recipes={A: IMPLICIT.id})
    assert decode_record(encode_record(treated)[:-1]) == treated


def test_a_spool_is_of_the_later_format_from_its_first_recipe_on(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store(spool)
    spool.keep_recipes([AS_IT_CAME])
    assert spool_format(tmp_path) == '{"format": 3}', "the release before can still open it"
    identifier = store_treated(spool, IMPLICIT)
    assert spool_format(tmp_path) == '{"format": 4}'
    spool.close()
    again = open_spool(tmp_path)
    assert recipes_of(again, identifier) == {A: "", B: IMPLICIT.id}
    assert again.recipes.get(IMPLICIT.id) == IMPLICIT
    again.close()


def test_the_format_and_the_recipe_are_safe_before_anything_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, done = open_spool(tmp_path), list[str]()

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            done.append(f"{name} {arguments[-1]}" if name == "renamed" else name)
            return real(*arguments)

        return call

    monkeypatch.setattr(Files, "rename", noted("renamed", Files.rename))
    monkeypatch.setattr(os, "fdatasync", noted("synced", os.fdatasync))
    spool.keep_recipes([IMPLICIT])
    assert done == ["synced", "renamed format", "synced", f"renamed recipes/{IMPLICIT.id}.json"]
    done.clear()
    spool.keep_recipes([IMPLICIT])
    assert done == [], "once is enough"
    monkeypatch.undo()
    spool.close()


def test_recipes_that_no_record_names_go_with_the_next_start(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    store_treated(spool, IMPLICIT)
    spool.keep_recipes([EXPLICIT])
    spool.close()
    again = open_spool(tmp_path)
    assert [file.name for file in (tmp_path / "spool" / "recipes").iterdir()] == [f"{IMPLICIT.id}.json"]
    again.keep_recipes([EXPLICIT])
    assert (tmp_path / "spool" / "recipes" / f"{EXPLICIT.id}.json").read_bytes() == EXPLICIT.form
    again.close()


@pytest.mark.parametrize("content", [None, b"", b'[{"step":"Unheard"}]', EXPLICIT.form], ids=str)
def test_a_recipe_that_cannot_be_used_is_said_and_never_left_out(tmp_path: Path, content: bytes | None) -> None:
    spool = open_spool(tmp_path)
    store_treated(spool, IMPLICIT)
    spool.close()
    file = tmp_path / "spool" / "recipes" / f"{IMPLICIT.id}.json"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    again = open_spool(tmp_path)
    with pytest.raises(Unreadable, match=f"{IMPLICIT.id}.json") as raised:
        again.recipes.get(IMPLICIT.id)
    assert raised.value.reason == RECIPE_MISSING
    again.close()


def test_a_damaged_format_stops_what_would_need_a_later_one(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    (tmp_path / "spool" / "format").write_text("{")
    with pytest.raises(SpoolError, match="format is not readable"):
        spool.keep_recipes([IMPLICIT])
    spool.close()


def test_a_treatment_is_replaced_by_another_and_never_taken_back() -> None:
    ledger = Ledger()
    ledger.apply(replace(received(1, (A, B)), recipes={B: IMPLICIT.id}))
    ledger.apply(DeliveryRecord(1, B, DeliveryState.PENDING, attempts=1))
    assert ledger.entries[1].deliveries[B].recipe == IMPLICIT.id
    ledger.apply(AgainRecord(1, (A, B)))
    assert ledger.entries[1].deliveries[B].recipe == IMPLICIT.id
    ledger.apply(AgainRecord(1, (A, B), {B: EXPLICIT.id}))
    assert {d: one.recipe for d, one in ledger.entries[1].deliveries.items()} == {A: "", B: EXPLICIT.id}


def test_what_comes_again_or_is_released_gets_the_treatment_of_then(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store_treated(spool, IMPLICIT)
    (entry,) = spool.entries(lambda _: True)
    spool.keep_recipes([EXPLICIT])
    assert spool.repeat(replace(entry.received, id=99, recipes={B: EXPLICIT.id})) == first
    assert recipes_of(spool, first) == {A: "", B: EXPLICIT.id}
    held = store(spool, (), "Unmatched")
    assert spool.decisions.reroute([Rerouting(held, [A, B], "", {A: IMPLICIT.id})])
    assert recipes_of(spool, held) == {A: IMPLICIT.id, B: ""}
    spool.close()


def test_an_attempt_that_was_under_way_does_not_bring_the_treatment_of_before_back(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    identifier = store_treated(spool, IMPLICIT, (B,))
    (entry,) = spool.entries(lambda _: True)
    under_way = entry.deliveries[B]
    spool.keep_recipes([EXPLICIT])
    spool.repeat(replace(entry.received, recipes={B: EXPLICIT.id}))
    spool.settle([replace(under_way, attempts=1, reason="TimedOut")])
    assert recipes_of(spool, identifier) == {B: EXPLICIT.id}
    spool.close()


def routing(*rules: tuple[str, list[str], Recipe]) -> Routing:
    """Return what rules say of an instance that all of them take."""
    document = {
        "matching": "All",
        "unmatched": "Hold",
        "rules": [
            {
                "name": name,
                "destinations": [{"kind": "CloudTarget", "name": one} for one in destinations],
                "steps": [step.model_dump(by_alias=True) for step in recipe.steps],
            }
            for name, destinations, recipe in rules
        ],
    }
    return compile_rules(Rules.model_validate(document)).route({}, "1.2.840.10008.1.2", {})


def test_each_rule_has_its_recipe_for_its_destinations() -> None:
    found = routing(("one", ["a"], AS_IT_CAME), ("two", ["b", "c"], IMPLICIT), ("three", ["c"], IMPLICIT))
    assert [str(one) for one in found.destinations] == [A, B, "CloudTarget/c"]
    assert found.recipes == {B: IMPLICIT, "CloudTarget/c": IMPLICIT}
    assert hold_reason(found) == ""


def test_one_destination_with_two_treatments_gets_nothing_and_the_others_theirs() -> None:
    found = routing(("one", ["a", "b"], AS_IT_CAME), ("two", ["b"], IMPLICIT))
    assert [str(one) for one in found.destinations] == ["CloudTarget/a"]
    assert hold_reason(found) == CONFLICTING_TREATMENT
    assert found.problem == "rules name CloudTarget/b with different treatments"


def test_a_recipe_is_read_as_it_was_written() -> None:
    assert parse_recipe(IMPLICIT.form) == IMPLICIT
    assert IMPLICIT.form == b'[{"step":"Transcode","transferSyntaxUid":"1.2.840.10008.1.2"}]'


def test_what_is_held_blocks_no_later_version_and_is_not_sent_over_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = store_treated(spool, IMPLICIT, (B,))
    (entry,) = spool.entries(lambda _: True)
    spool.settle([replace(entry.deliveries[B], state=DeliveryState.HELD, attempts=1, reason="TransformFailed")])
    assert spool.pending(Owed(first, B)) is None
    assert spool.snapshot().instances.owed == 1
    incoming = spool.begin("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
    incoming.write(memoryview(b"other" * 20))
    incoming.flush()
    later = replace(received(incoming.id, (B,)), sop_instance_uid=entry.received.sop_instance_uid, digest="1" * 64)
    spool.receive(incoming, later)
    assert not spool.is_behind(Owed(later.id, B))
    spool.settle([DeliveryRecord(later.id, B, DeliveryState.DELIVERED, attempts=1)])
    retried = spool.decisions.retry([Owed(first, B)])
    assert (retried.count, retried.superseded) == (0, [Owed(first, B)])
    assert spool.entries(lambda _: True) == []
    assert spool.snapshot().instances.skipped == 1
    spool.close()


def test_held_deliveries_survive_a_restart_and_are_due_with_another_treatment(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    identifier = store_treated(spool, IMPLICIT, (B,))
    (entry,) = spool.entries(lambda _: True)
    spool.settle([replace(entry.deliveries[B], state=DeliveryState.HELD, attempts=1, reason="TransformFailed")])
    spool.close()
    again = open_spool(tmp_path)
    assert again.take_fresh() == []
    again.keep_recipes([EXPLICIT])
    assert again.decisions.treat([Treatment(identifier, B, EXPLICIT.id), Treatment(identifier, A, EXPLICIT.id)]) == [
        True,
        False,
    ]
    assert again.take_fresh() == [Owed(identifier, B)]
    assert again.decisions.treat([Treatment(identifier, B, EXPLICIT.id)]) == [False]
    again.close()
