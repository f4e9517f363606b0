"""Encrypted files: what goes in comes out however it is cut into pieces, and every change of a file is found."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.spool import sealed
from dicomroute_gateway.spool.keys import Key, key_of, parse_keys
from dicomroute_gateway.spool.sealed import KeyUnknown, SealBroken, Sealer, content_length, sealed_length, unseal

KEY, OTHER = key_of(bytes(range(32))), key_of(bytes(32))
SALT = bytes(range(100, 132))
CHUNK, STEP = 32, 48
"""Small chunks, so that a short content has several."""

CONTENT = st.one_of(st.binary(min_size=1, max_size=200), st.sampled_from([bytes(n * CHUNK) for n in (1, 2, 3)]))


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "CHUNK_BYTES", CHUNK)
        yield


def seal(content: bytes, identifier: int = 7, key: Key = KEY, salt: bytes = SALT) -> bytes:
    return b"".join(Sealer(key, identifier, salt).seal([content], is_last=True))


def read(file: bytes, length: int, identifier: int = 7, key: Key = KEY) -> bytes:
    return unseal(lambda at, size: file[at : at + size], identifier, length, {key.id: key}).read_at(0, length)


@given(CONTENT, st.lists(st.integers(0, 200), max_size=8), st.booleans())
def test_what_comes_in_any_pieces_is_read_back_whole(content: bytes, cuts: list[int], ends_apart: bool) -> None:
    sealer, file, position = Sealer(KEY, 7, SALT), bytearray(), 0

    def written(offset: int, length: int) -> bytes:
        return bytes(file[offset : offset + length])

    for cut in sorted(cuts):
        file += b"".join(sealer.seal([memoryview(content)[position:cut]], is_last=False))
        position = max(position, cut)
        so_far = content[:position]
        assert sealer.read_at(written, 0, 1000) == so_far
        assert sealer.read_at(written, 30, 40) == so_far[30:70]
    if ends_apart:
        file += b"".join(sealer.seal([content[position:]], is_last=False))
        file += b"".join(sealer.seal([], is_last=True))
    else:
        file += b"".join(sealer.seal([content[position:]], is_last=True))
    assert bytes(file) == seal(content), "the pieces make no difference"
    assert len(file) == sealed_length(len(content))
    assert content_length(len(file)) == len(content)
    assert read(bytes(file), len(content)) == content


@given(CONTENT, st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250)), max_size=5))
def test_any_part_can_be_read(content: bytes, parts: list[tuple[int, int]]) -> None:
    file = seal(content)
    reader = unseal(lambda at, size: file[at : at + size], 7, len(content), {KEY.id: KEY})
    for offset, length in parts:
        assert reader.read_at(offset, length) == content[offset : offset + length]


@given(CONTENT, st.integers(0, 1000), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_is(content: bytes, position: int, change: int) -> None:
    file = bytearray(seal(content))
    file[position % len(file)] ^= change
    with pytest.raises((SealBroken, KeyUnknown)):
        read(bytes(file), len(content))


@given(CONTENT, st.integers(0, 1000))
def test_a_file_that_is_cut_off_is_found_wherever_that_is(content: bytes, position: int) -> None:
    file = seal(content)[: position % sealed_length(len(content))]
    with pytest.raises(SealBroken):
        read(file, len(content))
    try:
        length = content_length(len(file))
    except SealBroken:
        return
    with pytest.raises(SealBroken):
        read(file, length)


@given(st.permutations(range(4)))
def test_chunks_in_another_order_are_found(order: list[int]) -> None:
    content = bytes(range(4 * CHUNK))
    file = seal(content)
    start = len(file) - 4 * STEP
    chunks = [file[start + n * STEP :][:STEP] for n in order]
    if order == sorted(order):
        assert read(file[:start] + b"".join(chunks), len(content)) == content
        return
    with pytest.raises(SealBroken):
        read(file[:start] + b"".join(chunks), len(content))


def test_files_and_their_chunks_are_not_exchanged() -> None:
    content = bytes(2 * CHUNK)
    one, two = seal(content, 7), seal(content, 8, salt=bytes(32))
    with pytest.raises(SealBroken):
        read(two, len(content), identifier=7)
    with pytest.raises(SealBroken):
        read(one[:-STEP] + two[-STEP:], len(content))


def test_what_is_added_behind_the_end_is_never_read() -> None:
    content = bytes(CHUNK)
    longer = seal(content + bytes(CHUNK))
    with pytest.raises(SealBroken):
        read(longer, len(content))


def test_the_same_content_is_another_file_each_time_and_shows_nothing_of_itself() -> None:
    content = b"Quixlebury^Zebedee" * 10
    one, two = seal(content), seal(content, salt=bytes(32))
    assert b"Quixlebury" not in one + two
    assert one[48:64] not in two


def test_without_its_key_a_file_is_not_read() -> None:
    with pytest.raises(KeyUnknown, match=KEY.id):
        read(seal(b"x"), 1, key=OTHER)
    pretender = Key(KEY.id, OTHER.secret)
    with pytest.raises(SealBroken):
        read(seal(b"x"), 1, key=pretender)


@pytest.mark.parametrize("file", [b"", b"\0" * 128 + b"DICM" + bytes(100), sealed.MAGIC[:-1] + b"\2" + bytes(100)])
def test_what_is_no_encrypted_file_is_not_taken_for_one(file: bytes) -> None:
    with pytest.raises(SealBroken):
        read(file, 10)


def test_a_small_content_costs_a_header_and_one_tag() -> None:
    assert sealed_length(1) == 48 + 1 + 16


@pytest.mark.parametrize(
    "value, ids, others",
    [
        ("{a}", "a", []),
        ("{a}\n", "a", []),
        ("{a}\n{b}\n", "ab", []),
        ("\n {b} \r\n\r\n{a}\r\n", "ba", []),
        ("", "", []),
        ("{a}\nnot a key\n{b}", "ab", [2]),
        ("{a}{b}", "", [1]),
        ("c2hvcnQ=\n{a}", "a", [1]),
    ],
)
def test_the_keys_in_a_secret(value: str, ids: str, others: list[int]) -> None:
    lines = {"a": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "b": "A" * 43 + "="}
    known = {"a": KEY, "b": OTHER}
    assert parse_keys(value.format(**lines).encode()) == ([known[one] for one in ids], others)


def test_a_key_never_shows_itself() -> None:
    assert "\\x01" not in repr(KEY)
    assert KEY.id == "630dcd2966c43366"
