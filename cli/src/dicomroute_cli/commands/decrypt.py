"""`dicomroute decrypt`: makes DICOM files of the encrypted files of a spool, when no gateway can read it any more."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from dicomroute_cli.output import Failure, print_error
from dicomroute_gateway.spool.keys import Key, parse_keys
from dicomroute_gateway.spool.sealed import KeyUnknown, SealBroken, content_length, unseal

_BLOCK_BYTES: Final = 1 << 20


def decrypt(
    files: Annotated[
        list[Path], typer.Argument(help="Files of spool/instances, under the names that they have there.")
    ],
    keys: Annotated[Path, typer.Option(help="File with the Secret's value: keys in base64, one a line.")],
    to: Annotated[Path, typer.Option(help="Folder for the DICOM files. It is made if it is not there.")],
) -> None:
    """Decrypt files that were copied from a spool's volume. One that cannot be read is named, and the others go on."""
    try:
        known, others = parse_keys(keys.read_bytes())
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", 2) from error
    if others or not known:
        where = f"line {others[0]} of {keys}" if others else str(keys)
        raise Failure(f"{where} is not 32 bytes in base64: give it the value of the Secret as it is", 2)
    by_id = {key.id: key for key in known}
    failed = 0
    for file in files:
        target = to / file.name
        try:
            _decrypt(file, target, by_id)
        except KeyUnknown as error:
            failed += 1
            print_error(f"{file}: it is encrypted with the key {error.key_id}, which {keys} does not have")
        except (SealBroken, ValueError, OSError) as error:
            failed += 1
            print_error(f"{file}: {error}")
    print(f"{len(files) - failed} decrypted")
    if failed:
        raise Failure(f"{failed} could not be decrypted")


def _decrypt(file: Path, target: Path, keys: Mapping[str, Key]) -> None:
    """Write the content of a file, which is there as a whole or not at all."""
    if not file.stem.isdecimal():
        raise ValueError("its name is not the number of an instance: give it the name that it has in the spool")
    temporary = target.with_name(f".{target.name}.new")
    with file.open("rb") as source:
        length = content_length(os.fstat(source.fileno()).st_size)
        content = unseal(partial(_read, source.fileno()), int(file.stem), length, keys)
        try:
            with temporary.open("xb") as written:
                for offset in range(0, length, _BLOCK_BYTES):
                    written.write(content.read_at(offset, _BLOCK_BYTES))
            target.hardlink_to(temporary)  # never over a file that is there
        finally:
            temporary.unlink(missing_ok=True)


def _read(descriptor: int, offset: int, length: int) -> bytes:
    return os.pread(descriptor, length, offset)
