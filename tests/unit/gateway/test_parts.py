"""The parts of an answer, however it is cut into blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.dicomweb.parts import BadMultipart, Bytes, Parts, boundary_of

BOUNDARY = b"b"


def read(blocks: list[bytes]) -> tuple[list[bytes], bytes, bool]:
    """Return the whole parts, what came of a further one, and whether the end came."""
    parts, whole, current = Parts(BOUNDARY), list[bytes](), b""
    for block in blocks:
        for event in parts.feed(block):
            if isinstance(event, Bytes):
                assert event.begins == (not current)
                current += event.data
            else:
                whole.append(current)
                current = b""
    return whole, current, parts.is_closed


def written(parts: list[bytes], preamble: bytes = b"") -> bytes:
    body = preamble
    for part in parts:
        body += b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + part
    return body + b"\r\n--b--\r\n"


contents = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"b", b"\r\n", b"--b", b"\r\n-", b"x", b"\0"]), max_size=12
).map(b"".join)


@given(st.lists(contents, max_size=4), contents, st.data())
def test_they_are_found_wherever_the_blocks_end(parts: list[bytes], preamble: bytes, data: st.DataObject) -> None:
    parts = [part for part in parts if b"\r\n--b" not in part]
    preamble = preamble if b"\r\n--b" not in preamble and not preamble.startswith(b"--b") else b""
    body = written(parts, preamble)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    blocks = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(blocks) == (parts, b"", True)
    assert read([body[i : i + 1] for i in range(len(body))]) == (parts, b"", True)


def test_what_is_cut_off_keeps_the_parts_that_are_whole() -> None:
    body = written([b"first", b"second"])
    for end in range(len(body)):
        whole, rest, is_closed = read([body[:end]])
        assert whole == [b"first", b"second"][: len(whole)]
        assert is_closed == (end >= body.index(b"--b--") + 5)
        assert b"second".startswith(rest) or b"first".startswith(rest)


def test_a_part_without_headers_and_one_without_content_are_parts() -> None:
    assert read([b"--b\r\n\r\nfirst\r\n--b  \r\nA: 1\r\n\r\n\r\n--b--"]) == ([b"first", b""], b"", True)


@pytest.mark.parametrize(
    "body", [b"--b\r\n" + b"A: " + b"x" * 70_000, b"--b" + b" " * 70_000, b"--b else\r\n\r\nx", b"--bc\r\n\r\nx"]
)
def test_what_never_becomes_a_part_ends_it(body: bytes) -> None:
    with pytest.raises(BadMultipart):
        read([body])


def test_little_is_kept_of_what_came() -> None:
    parts = Parts(BOUNDARY)
    list(parts.feed(b"--b\r\n\r\n"))
    for _ in range(100):
        assert sum(len(event.data) for event in parts.feed(b"\r\n-" * 10_000) if isinstance(event, Bytes)) > 29_990
        assert len(parts._buffer) < 8


@pytest.mark.parametrize(
    "content_type, boundary",
    [
        ("multipart/related; type=application/dicom; boundary=abc", b"abc"),
        ('Multipart/Related; boundary="a b\'(c)"; type="application/dicom"', b"a b'(c)"),
        ("multipart/related", None),
        ("application/dicom; boundary=abc", None),
        ("", None),
    ],
)
def test_the_boundary_is_quoted_or_not(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary
