"""PDUs out of a stream of bytes: however they are cut into segments, and whatever they are."""

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate, cycle, pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdus import P_DATA_TF, pdu, pdv
from reading import joined, read

from dicomroute_gateway.dimse.stream import encode_command


def cut(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Return data in segments of these lengths, again and again."""
    ends = list(takewhile(lambda end: end < len(data), accumulate(cycle(lengths), initial=0))) if lengths else [0]
    return [data[start:end] for start, end in pairwise([*ends, len(data)])]


LENGTHS = st.lists(st.integers(1, 40), max_size=5)
PDVS = st.tuples(st.integers(0, 255), st.booleans(), st.binary(max_size=60))


@given(st.lists(st.lists(PDVS, min_size=1, max_size=4), max_size=6), LENGTHS)
def test_what_is_sent_is_read_however_it_is_cut(
    messages: list[list[tuple[int, bool, bytes]]], lengths: list[int]
) -> None:
    data = b"".join(pdu(P_DATA_TF, b"".join(pdv(c, is_command | 2, d) for c, is_command, d in one)) for one in messages)
    received = read(cut(data, lengths))
    assert joined(received.pdvs) == [one for message in messages for one in message]
    assert received.ended_with == "PeerGone"


@given(st.lists(st.integers(0, 1_500_000), min_size=1, max_size=4), st.integers(5000, 2_000_000))
@settings(max_examples=25)
def test_what_is_kept_stays_as_it_is_until_it_is_called_back(sizes: list[int], segment: int) -> None:
    """Data sets in several PDUs, larger than the buffer and larger than what is left of it."""
    values = [bytes((number + 1,)) * size for number, size in enumerate(sizes)]
    pdus = [
        pdu(P_DATA_TF, pdv(1, 2 if start + 100_000 >= len(value) else 0, value[start : start + 100_000]))
        for value in values
        for start in range(0, max(1, len(value)), 100_000)
    ]
    received = read(cut(b"".join(pdus), [segment]), keeps=True)
    assert joined(received.pdvs) == [(1, False, value) for value in values]


@given(st.lists(st.tuples(st.integers(0, 255).filter(lambda kind: kind != P_DATA_TF), st.binary(max_size=80))), LENGTHS)
def test_pdus_of_other_types_are_read_with_their_bodies(pdus: list[tuple[int, bytes]], lengths: list[int]) -> None:
    received = read(cut(b"".join(pdu(kind, body) for kind, body in pdus), lengths))
    assert received.pdus == pdus


def changed(data: bytes, draw: Callable[..., int]) -> bytes:
    """Return data with a few bytes changed, and perhaps cut off."""
    copy = bytearray(data)
    for _ in range(draw(st.integers(0, 3))):
        copy[draw(st.integers(0, len(copy) - 1))] = draw(st.integers(0, 255))
    return bytes(copy[: draw(st.integers(1, len(copy)))])


@given(st.data(), LENGTHS)
def test_any_bytes_are_read_or_violate_the_protocol_the_same_however_they_are_cut(
    data: st.DataObject, lengths: list[int]
) -> None:
    valid = pdu(P_DATA_TF, pdv(1, 3, bytes(20)) + pdv(1, 2, bytes(31))) * 2 + pdu(5, bytes(4))
    junk = changed(valid, data.draw) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200))
    whole, segmented = read([junk]), read(cut(junk, lengths))
    assert segmented.pdus == whole.pdus
    assert joined(segmented.pdvs) == joined(whole.pdvs)
    assert segmented.ended_with == whole.ended_with != ""


@given(st.integers(1, 255), st.binary(min_size=1, max_size=1500).map(lambda one: one * 2), st.integers(8, 400))
def test_a_command_set_is_sent_in_pdus_that_the_peer_takes(context: int, command: bytes, maximum: int) -> None:
    data = encode_command(context, command, maximum)
    assert joined(read([data]).pdvs) == [(context, True, command)]
    while data:
        (length,) = struct.unpack_from(">xxI", data)
        (fragment,) = struct.unpack_from(">I", data, 6)
        assert length <= maximum
        assert fragment % 2 == 0, "a fragment of an odd number of bytes (PS3.8 E.1)"
        data = data[6 + length :]


@pytest.mark.parametrize("count", [1, 5, 6, 11])
def test_a_connection_that_ends_within_a_pdu_is_gone(count: int) -> None:
    assert read([pdu(P_DATA_TF, pdv(1, 2, bytes(100)))[:count]]).ended_with == "PeerGone"
