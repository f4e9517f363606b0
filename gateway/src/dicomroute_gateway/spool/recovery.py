"""Opens a spool again: what a crash interrupted is finished, and what cannot be trusted is said."""

import json
import re
from typing import Final

from . import journal as journals
from .files import Files
from .incoming import file_of
from .journal import JournalCorrupt
from .ledger import Ledger
from .records import TotalsRecord

FORMAT: Final = 2
"""1: the first. 2: records of instances that came again."""
_INSTANCE_FILE: Final = re.compile(r"[0-9]{12}\.dcm")


class SpoolError(Exception):
    """The spool cannot be used; `reason` names the condition, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _check_format(files: Files) -> None:
    if "format" not in files.list("."):
        _write_format(files)
        return
    try:
        written = int(json.loads(files.read("format"))["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise SpoolError("SpoolCorrupt", f"the file {files.path('format')} is not readable") from error
    if written > FORMAT:
        raise SpoolError(
            "SpoolTooNew",
            f"the spool has format {written} and this gateway knows {FORMAT}: run the gateway that wrote it",
        )
    if written < FORMAT:
        _write_format(files)  # before the first record that the gateway of then would not understand


def _write_format(files: Files) -> None:
    files.remove("format.new")
    descriptor = files.create("format.new")
    files.write(descriptor, [json.dumps({"format": FORMAT}).encode()])
    files.sync(descriptor)
    files.close(descriptor)
    files.rename("format.new", "format")


def recover(files: Files) -> tuple[Ledger, int]:
    """Return what is owed, and the segment of the journal that says so.

    Raises SpoolError when the spool is of a newer format, or its bytes are not what was written.
    """
    _check_format(files)
    for name in (journals.FOLDER, "instances"):
        files.make_folder(name)
    try:
        segment, records = journals.read_newest(files)
    except JournalCorrupt as error:
        raise SpoolError(
            "SpoolCorrupt",
            f"{error}: bytes that were safe have changed. Nothing was touched; copy the volume, then restore it "
            "or ask for help",
        ) from error
    ledger = Ledger()
    has_files = any(files.list(f"instances/{folder}") for folder in files.list("instances"))
    if has_files and not (records and isinstance(records[0], TotalsRecord)):
        raise SpoolError(
            "SpoolCorrupt",
            "there are instances and no journal that speaks of them: nothing was touched; restore the journal, or "
            "move the instances away",
        )
    if not records:
        segment = max(segment, 1)
        journals.write_segment(files, segment, [TotalsRecord()])
        return ledger, segment
    for record in records:
        ledger.apply(record)
    for entry in ledger.entries.values():
        name = file_of(entry.received.id)
        if files.size(name) != entry.received.file_length:
            raise SpoolError(
                "SpoolCorrupt",
                f"{name} is missing or not {entry.received.file_length} bytes long, although it was accepted",
            )
    return ledger, segment


def remove_orphans(files: Files, ledger: Ledger) -> int:
    """Remove files that nothing speaks of: never acknowledged, or finished right before a crash.

    Returns a number that no instance has had.
    """
    next_id = 1
    for folder in files.list("instances"):
        for name in files.list(f"instances/{folder}"):
            if not _INSTANCE_FILE.fullmatch(name):
                continue
            identifier = int(name.removesuffix(".dcm"))
            next_id = max(next_id, identifier + 1)
            if identifier not in ledger.entries:
                files.remove(f"instances/{folder}/{name}")
    ledger.finished.clear()
    return next_id
