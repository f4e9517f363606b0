"""What the benchmark counts as delivered is there whole, however its bytes come."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from instances import files, small
from stow_sink import Connection, Refused, Request

BOUNDARY = b"a-boundary"
SMALL = small()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [file.read_bytes() for file in files(tmp_path_factory.mktemp("files") / "three", SMALL, 3)]


def body_of(parts: list[bytes]) -> bytes:
    heads = (
        b"--%b\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n%b\r\n" % (BOUNDARY, len(part), part)
        for part in parts
    )
    return b"".join(heads) + b"--%b--\r\n" % BOUNDARY


def with_length(body: bytes) -> bytes:
    return b"POST /studies HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def in_chunks(body: bytes, size: int = 1000) -> bytes:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"POST /studies HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % coded


def fed(stream: bytes, size: int) -> Iterator[Request]:
    """Yield what a connection makes of a stream that comes in pieces of `size` bytes."""
    with socket.socket() as client:
        connection = Connection(client)
        for at in range(0, len(stream), size):
            yield from connection.feed(memoryview(stream[at : at + size]))


@given(size=st.integers(1, 15000), coding=st.sampled_from((with_length, in_chunks)))
def test_every_instance_is_found_however_the_bytes_come(stored: list[bytes], size: int, coding) -> None:
    stream = coding(body_of(stored)) + coding(body_of(stored[:1]))
    first, second = fed(stream, size)
    assert len({uid for _, uid in first.parts.stored}) == 3
    assert {sop_class for sop_class, _ in first.parts.stored} == {SMALL.sop_class_uid}
    assert first.parts.file_bytes == sum(map(len, stored))
    assert second.parts.stored == first.parts.stored[:1]


@pytest.mark.parametrize("coding", [with_length, in_chunks])
def test_a_body_that_ends_within_a_part_is_refused(stored: list[bytes], coding) -> None:
    with pytest.raises(Refused, match="within a part"):
        list(fed(coding(body_of(stored)[:-500]), 4096))


def test_what_is_under_way_is_not_counted(stored: list[bytes]) -> None:
    assert list(fed(with_length(body_of(stored))[:-1], 4096)) == []
