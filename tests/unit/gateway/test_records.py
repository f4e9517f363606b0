"""The lines of the journal: what is written is read, and what has changed is refused."""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.spool.records import BadRecord, Record, Sender, decode_record, encode_record


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return every value that a field of this type may have."""
    simple = {
        int: st.integers(0, 2**60),
        float: st.floats(0, 2**40, allow_nan=False),
        str: st.text(st.characters(codec="utf-8"), max_size=70),
        bool: st.booleans(),
        type(None): st.none(),
    }
    if isinstance(hint, typing.NewType):
        return values(hint.__supertype__)
    if hint in simple:
        return simple[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=4).map(tuple)
    if origin in (dict, Mapping):
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=4)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    hints = get_type_hints(hint)
    return st.builds(hint, **{field.name: values(hints[field.name]) for field in fields(hint)})


RECORDS = values(Record)


def test_every_kind_of_record_is_drawn() -> None:
    assert {kind.__name__ for kind in get_args(Record)} >= {"Received", "DeliveryRecord", "GroupRecord"}
    assert Sender not in get_args(Record)


@given(RECORDS)
def test_a_record_that_was_written_is_read_as_it_was(record: Any) -> None:
    line = encode_record(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1, "a line is a record, whatever a value holds"
    assert decode_record(line[:-1]) == record


@given(RECORDS, st.data())
def test_a_line_in_which_bytes_have_changed_is_no_record(record: Any, data: st.DataObject) -> None:
    line = encode_record(record)[:-1]
    changed = bytearray(line)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    if bytes(changed) == line:
        return
    with pytest.raises(BadRecord):
        decode_record(bytes(changed))


@given(RECORDS, st.data())
def test_a_line_that_was_cut_off_or_goes_on_is_no_record(record: Any, data: st.DataObject) -> None:
    line = encode_record(record)[:-1]
    for other in (
        line[: data.draw(st.integers(0, len(line) - 1))],
        line + data.draw(st.binary(min_size=1, max_size=9)),
    ):
        with pytest.raises(BadRecord):
            decode_record(other)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_more_than_a_bad_record(line: bytes) -> None:
    with pytest.raises(BadRecord):
        decode_record(line)
