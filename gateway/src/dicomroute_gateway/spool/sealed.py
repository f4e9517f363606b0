"""The form of an encrypted file: a header, and the content in chunks that are authenticated in their order.

    magic and version   8 bytes    never DICOM: a reader of DICOM files refuses it
    key id              8 bytes    which key of the Secret
    salt               32 bytes    random
    chunks                         256 KiB of the content, or what is left of it, and a tag of 16 bytes, each

A file has a key of its own: HKDF-SHA256 (RFC 5869) of the Secret's key, with the salt, over magic, key id and the
instance's number. So no nonce is random, one key serves for any number of files, and a file under another number, or
with a changed header, is not read. A chunk is AES-256-GCM; its nonce is its number and whether it is the last, so
that chunks that are missing, moved or cut off are found (the STREAM construction, Hoang et al. 2015). Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .keys import Key

MAGIC: Final = b"DRSEAL\0\1"
"""The last byte is the version, which says how long chunks are."""
SALT_BYTES: Final = 32
CHUNK_BYTES: Final = 1 << 18
TAG_BYTES: Final = 16
_KEY_ID_BYTES: Final = 8
HEADER_BYTES: Final = len(MAGIC) + _KEY_ID_BYTES + SALT_BYTES

Read = Callable[[int, int], bytes]
"""Returns up to so many bytes of a file: offset and length."""


class SealBroken(Exception):
    """The bytes are not what was written; the message says where."""


class KeyUnknown(Exception):
    """The key with this id is not there."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id} is missing")
        self.key_id = key_id


def sealed_length(length: int) -> int:
    """Return how long the file of so many bytes of content is."""
    return HEADER_BYTES + length + TAG_BYTES * _chunks(length)


def content_length(sealed: int) -> int:
    """Return how many bytes of content a file of so many bytes has. Raises SealBroken when there is no such file."""
    chunks = -(-(sealed - HEADER_BYTES) // (CHUNK_BYTES + TAG_BYTES))
    length = sealed - HEADER_BYTES - TAG_BYTES * chunks
    if length < 0 or sealed_length(length) != sealed:
        raise SealBroken("the file is incomplete")
    return length


class Sealer:
    """Encrypts the file of one instance as its content arrives. `salt` is random, and used once."""

    def __init__(self, key: Key, identifier: int, salt: bytes) -> None:
        self.key_id = key.id
        self.is_ended = False
        header = MAGIC + bytes.fromhex(key.id) + salt
        self._cipher = _cipher(key, identifier, header)
        self._start = [header]
        self._rest = b""
        """What is not written yet, as it may be the end."""
        self._sealed = 0
        self._reader: Unsealer | None = None

    def seal(self, pieces: Iterable[bytes | memoryview], *, is_last: bool) -> list[bytes]:
        """Return what is to be appended to the file after `pieces` more of the content, perhaps nothing."""
        sealed, self._start = self._start, []
        content = b"".join((self._rest, *pieces))
        view, offset = memoryview(content), 0
        while len(content) - offset > CHUNK_BYTES:
            sealed.append(self._chunk(view[offset : offset + CHUNK_BYTES], is_last=False))
            offset += CHUNK_BYTES
        if is_last:
            sealed.append(self._chunk(view[offset:], is_last=True))
            self.is_ended = True
        self._rest = b"" if is_last else content[offset:]
        return sealed

    def read_at(self, read: Read, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset` of the content so far, before its end came. Raises SealBroken."""
        written = self._sealed * CHUNK_BYTES
        start = max(0, offset - written)
        rest = self._rest[start : start + length - max(0, written - offset)] if offset + length > written else b""
        if self._reader is None:
            self._reader = Unsealer(self._cipher, read, 0, has_end=False)
        self._reader.length = written
        return self._reader.read_at(offset, length) + rest

    def _chunk(self, content: memoryview, *, is_last: bool) -> bytes:
        number, self._sealed = self._sealed, self._sealed + 1
        return self._cipher.encrypt(_nonce(number, is_last=is_last), content, None)


class Unsealer:
    """Reads the `length` bytes of content of an encrypted file, from any place. For one thread at a time.

    Without `has_end` they are chunks of a file that is still being written.
    """

    def __init__(self, cipher: AESGCM, read: Read, length: int, *, has_end: bool = True) -> None:
        self._cipher = cipher
        self._read = read
        self.length = length
        self._last = _chunks(length) - 1 if has_end else None
        self._kept = (-1, b"")
        """The number and the content of the chunk that was read last: who looks at a head reads it in bits."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of the content at `offset`. Raises SealBroken, and what `read` raises."""
        end = min(offset + length, self.length)
        if offset >= end:
            return b""
        first, last = offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        if first == last == self._kept[0]:
            chunks = [self._kept[1]]
        else:
            chunks = self._chunks(first, last)
            self._kept = (last, chunks[-1])
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        start = offset - first * CHUNK_BYTES
        return content[start : start + end - offset]

    def _chunks(self, first: int, last: int) -> list[bytes]:
        step = CHUNK_BYTES + TAG_BYTES
        content = min((last + 1) * CHUNK_BYTES, self.length) - first * CHUNK_BYTES
        sealed = memoryview(self._read(HEADER_BYTES + first * step, content + (last + 1 - first) * TAG_BYTES))
        return [self._open(number, sealed[(number - first) * step :][:step]) for number in range(first, last + 1)]

    def _open(self, number: int, chunk: memoryview) -> bytes:
        try:
            return self._cipher.decrypt(_nonce(number, is_last=number == self._last), chunk, None)
        except InvalidTag:
            raise SealBroken(f"chunk {number} has changed since it was written") from None


def unseal(read: Read, identifier: int, length: int, keys: Mapping[str, Key]) -> Unsealer:
    """Return the reader of an instance's encrypted file, with `length` bytes of content.

    Raises KeyUnknown, SealBroken, and what `read` raises.
    """
    header = read(0, HEADER_BYTES)
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise SealBroken("the file has no header of an encrypted file, or a newer version")
    key_id = header[len(MAGIC) : len(MAGIC) + _KEY_ID_BYTES].hex()
    if key_id not in keys:
        raise KeyUnknown(key_id)
    return Unsealer(_cipher(keys[key_id], identifier, header), read, length)


def _cipher(key: Key, identifier: int, header: bytes) -> AESGCM:
    about, salt = header[:-SALT_BYTES], header[-SALT_BYTES:]
    info = b"dicomroute spool " + about + identifier.to_bytes(8, "big")
    return AESGCM(HKDF(SHA256(), 32, salt, info).derive(key.secret))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((is_last,))


def _chunks(length: int) -> int:
    """Return how many chunks there are; an empty content has one, so that its end is authenticated too."""
    return max(1, -(-length // CHUNK_BYTES))
