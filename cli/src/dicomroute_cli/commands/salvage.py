"""`dicomroute salvage`: makes DICOM files of a spool that no gateway can read any more, and says which are whole."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from blake3 import blake3

from dicomroute_cli.output import Failure, print_error
from dicomroute_gateway.spool.content import Seal, StoredFile, Unreadable
from dicomroute_gateway.spool.incoming import DIGEST_PREFIX, INSTANCES
from dicomroute_gateway.spool.keys import NO_KEYS, Keys, parse_keys
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import BadRecord, Received, Record, decode_record
from dicomroute_gateway.spool.sealed import MAGIC, KeyUnknown, SealBroken, content_length, unseal
from dicomroute_gateway.spool.segments import FOLDER as JOURNAL

_BLOCK_BYTES: Final = 1 << 20
_UNVERIFIED: Final = "unverified"


class _Unverified(Exception):
    """What was found is not known to be what was received; the message says why."""


def salvage(
    spool: Annotated[Path, typer.Argument(help="Copy of a spool folder, with its journal/ and instances/.")],
    to: Annotated[Path, typer.Option(help="Folder for the DICOM files. It is created if it does not exist.")],
    keys: Annotated[
        Path | None,
        typer.Option(help="For an encrypted spool: file with the value of the Secret, keys in base64, one per line."),
    ] = None,
) -> None:
    """Copy the instances out of a spool, and compare each with the digest in its record.

    Each calling AE title gets its own folder, because rules may need the title when you send the files to the route
    again. Files without a record, or with a wrong digest, go to unverified/ and are listed: such an instance was
    never acknowledged, or its record is lost. It may be incomplete, or contain bytes of another instance after its
    header. Owed instances without a file are listed too. Nothing is overwritten: the folder must be new or empty.
    """
    if not (spool / INSTANCES).is_dir():
        raise Failure(f"{spool} has no folder {INSTANCES}: give a copy of the folder spool/ of the volume", 2)
    try:
        if to.exists() and any(to.iterdir()):  # instances of two spools may have the same number
            raise Failure(f"{to} is not empty: choose another folder", 2)
        known = NO_KEYS if keys is None else _read_keys(keys)
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        to.chmod(0o700)  # what is in it is patients' data, whatever the umask says and the folder was before
        (to / _UNVERIFIED).mkdir(mode=0o700, exist_ok=True)
        # Those without a byte wait for instances to come.
        files = [file for file in sorted((spool / INSTANCES).glob(f"*/{'[0-9]' * 12}.dcm")) if file.stat().st_size]
        received, ledger = {}, Ledger()
        for record in _records(spool):
            ledger.apply(record)
            if isinstance(record, Received):
                received[record.id] = record
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", 2) from error
    unverified = 0
    for file in files:
        try:
            _copy(file, to, received.get(int(file.stem)), known)
        except (_Unverified, Unreadable, KeyUnknown, SealBroken, ValueError, OSError) as error:
            unverified += 1
            print_error(f"{file}: {error}")
    present = {int(file.stem) for file in files}
    missing = [entry.received for number, entry in ledger.entries.items() if number not in present]
    for one in missing:
        print_error(f"{one.id:012d}.dcm is missing: {_origin(one)}")
    print(f"{len(files) - unverified} complete, {unverified} unverified, {len(missing)} missing")
    failures = []
    if unverified:
        failures.append(
            f"{unverified} files may be incomplete: check the files in {to / _UNVERIFIED} before you send them"
        )
    if missing:
        failures.append(f"{len(missing)} owed instances are missing: ask their senders to send them again")
    if failures:
        raise Failure("; ".join(failures))


def _read_keys(file: Path) -> Keys:
    found, others = parse_keys(file.read_bytes())
    if others or not found:
        where = f"line {others[0]} of {file}" if others else str(file)
        raise Failure(f"{where} is not 32 bytes in base64: give the unchanged value of the Secret", 2)
    return Keys({key.id: key for key in found})


def _records(spool: Path) -> Iterator[Record]:
    """Yield the records in every line of the journal that is whole; what is broken is passed over."""
    for segment in sorted((spool / JOURNAL).glob("*.jsonl")):
        for line in segment.read_bytes().splitlines():
            try:
                yield decode_record(line)
            except BadRecord:
                continue


def _origin(received: Received) -> str:
    """Return what a person needs to have an instance sent again."""
    return (
        f"study {received.study_instance_uid}, instance {received.sop_instance_uid}, received from "
        f"{received.sender.calling_ae_title} at {datetime.fromtimestamp(received.time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def _copy(file: Path, to: Path, received: Received | None, keys: Keys) -> None:
    """Write the content of a file, as far as it can be read; among the others it is only when it is whole."""
    if received is None:
        with file.open("rb") as source:
            read, length = _without_record(source, int(file.stem), keys)
            _write(to / _UNVERIFIED / file.name, read, length)
        raise _Unverified("there is no record of this file")
    seal = Seal(received.id, received.key, lambda: keys) if received.key else None
    head_bytes = received.content_length - received.length
    with StoredFile(file, received.content_length, seal).open() as content:
        digest = blake3()

        def read(offset: int, length: int) -> bytes:
            data = content.read_at(offset, length)
            digest.update(data[max(0, head_bytes - offset) :])
            return data

        written = _write(to / _UNVERIFIED / file.name, read, content.length)
    if DIGEST_PREFIX + digest.hexdigest() != received.digest:
        raise _Unverified("the content differs from the digest in its record")
    folder = to / _folder_of(received.sender.calling_ae_title)
    folder.mkdir(mode=0o700, exist_ok=True)
    written.rename(folder / file.name)


def _folder_of(calling_ae_title: str) -> str:
    """Return a name that is no other folder's, whatever a peer has called itself."""
    return "from-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):02X}", calling_ae_title)


def _without_record(source: BinaryIO, number: int, keys: Keys) -> tuple[Callable[[int, int], bytes], int]:
    """Return how to read what is in a file of which only its name and its bytes are known, and how much it is."""
    size = os.fstat(source.fileno()).st_size
    read = partial(_read, source)
    if read(0, len(MAGIC)) != MAGIC:
        return read, size
    length = content_length(size)
    return unseal(read, number, length, keys.by_id).read_at, length


def _read(source: BinaryIO, offset: int, length: int) -> bytes:
    return os.pread(source.fileno(), length, offset)


def _write(target: Path, read: Callable[[int, int], bytes], length: int) -> Path:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as written:
        for offset in range(0, length, _BLOCK_BYTES):
            written.write(read(offset, min(_BLOCK_BYTES, length - offset)))
    return target
