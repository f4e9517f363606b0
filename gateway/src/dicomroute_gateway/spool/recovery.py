"""Opens a spool again: what a crash interrupted is finished, and what cannot be trusted is said."""

import re
from collections.abc import Callable
from typing import Final

from dicomroute_gateway.reasons import Reason

from . import formats, segments
from .errors import SpoolError
from .files import Files
from .incoming import INSTANCES, file_of
from .records import Received, TotalsRecord
from .segments import JournalContent, JournalCorrupt
from .volume import defect

_INSTANCE_FILE: Final = re.compile(r"[0-9]{12}\.dcm")


def open_journal(files: Files, *, keeps_past: bool = False) -> JournalContent:
    """Return what the journal of a spool says, a new one's too, once it is certain that it can be trusted.

    `keeps_past`: a segment that another one has replaced stays for whoever reads behind.

    Raises SpoolError when the volume is not safe, the spool is of a newer format, or its bytes are not what was
    written; OSError.
    """
    unsafe = defect(files)
    if unsafe:
        raise SpoolError(Reason.SPOOL_VOLUME_UNSAFE, f"the volume of the spool {files.folder} is not safe: {unsafe}")
    formats.check(files)
    for name in (segments.FOLDER, INSTANCES):
        files.make_folder(name)
    try:
        content = segments.read_newest(files)
        first = next(content.records(), None)
    except JournalCorrupt as error:
        raise corrupt(error) from error
    has_files = any(files.list(f"{INSTANCES}/{folder}") for folder in files.list(INSTANCES))
    if has_files and not isinstance(first, TotalsRecord):
        raise SpoolError(
            Reason.SPOOL_CORRUPT,
            "the spool has instances, but no journal for them. Nothing was changed: restore the journal, or move the "
            "instances away",
        )
    if first is None:
        segments.write_segment(files, max(content.segment, 1), [TotalsRecord()])
        content = segments.read_newest(files)
    try:
        segments.mend(files, content, keeps_past=keeps_past)
    except JournalCorrupt as error:
        raise corrupt(error) from error
    return content


def corrupt(error: JournalCorrupt) -> SpoolError:
    """Return what is said of a journal whose bytes are not what was written."""
    return SpoolError(
        Reason.SPOOL_CORRUPT,
        f"{error}: data that was on stable storage has changed. Nothing was changed since: copy the volume, then "
        "restore it or ask for help",
    )


def check_file(files: Files, received: Received) -> None:
    """Raise SpoolError when the file of an instance that is in the ledger is not there in its whole length."""
    name = file_of(received.id)
    if files.size(name) != received.file_length:
        raise SpoolError(
            Reason.SPOOL_CORRUPT,
            f"{name} was accepted, but is missing or not {received.file_length} bytes long",
        )


def highest_file(files: Files) -> int:
    """Return the highest number that a file of an instance has, 0 when there is none."""
    for folder in reversed(files.list(INSTANCES)):
        numbers = _numbers(files, folder)
        if numbers:
            return max(numbers)
    return 0


def remove_orphans(files: Files, is_known: Callable[[int], bool], before: int) -> None:
    """Remove files with numbers below `before` that nothing speaks of: never acknowledged, or already finished."""
    for folder in files.list(INSTANCES):
        for number in _numbers(files, folder):
            if number < before and not is_known(number):
                files.remove(file_of(number))


def _numbers(files: Files, folder: str) -> list[int]:
    names = files.list(f"{INSTANCES}/{folder}")
    return [int(name.removesuffix(".dcm")) for name in names if _INSTANCE_FILE.fullmatch(name)]
