"""In which forms an instance can be sent, and the making of another one than it has."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.recipe import AS_IT_CAME
from dicomroute_gateway.dimse.propose import Syntaxes
from dicomroute_gateway.prepare.parcel import Parcel
from dicomroute_gateway.prepare.preparing import Preparing, other_forms
from dicomroute_gateway.spool.fetched import FetchedFiles, remove
from dicomroute_gateway.spool.part10 import head_length

from .archive import Check, Fetched

_BLOCK_BYTES: Final = 1 << 20


def forms(fetched: Fetched) -> tuple[Syntaxes, ...]:
    """Return the syntaxes in which an instance can be sent, the one that it is in first."""
    syntax, sop_class = fetched.transfer_syntax_uid, fetched.reference.sop_class_uid
    return tuple(Syntaxes(sop_class, one) for one in (syntax, *other_forms(syntax)))


class Forms:
    """Makes other forms, as files in the folder of a retrieval."""

    def __init__(self, preparing: Preparing, files: FetchedFiles, folder: Path) -> None:
        self._preparing = preparing
        self._files = files
        self._folder = folder

    def in_syntax(self, fetched: Fetched, transfer_syntax_uid: str, check: Check) -> Fetched:
        """Return an instance in a transfer syntax; its own file is removed where it is no longer needed.

        Takes long. Raises TranscodingFailed, Unreadable, OSError, and what `check` raises.
        """
        if fetched.transfer_syntax_uid == transfer_syntax_uid:
            return fetched
        reference = fetched.reference
        parcel = Parcel(
            AS_IT_CAME,
            reference.sop_class_uid,
            reference.sop_instance_uid,
            reference.series_instance_uid,
            reference.study_instance_uid,
            fetched.transfer_syntax_uid,
            fetched.length,
            fetched.file,
        )
        file = self._files.begin(self._folder)
        try:
            for block in self._preparing.converted(parcel, transfer_syntax_uid):
                check()
                file.write(block)
            stored = file.finish()
        except BaseException:
            file.discard()
            raise
        discard(fetched)
        head = head_length(reference.sop_class_uid, reference.sop_instance_uid, transfer_syntax_uid)
        return replace(
            fetched,
            reference=replace(reference, spooled=None),
            transfer_syntax_uid=transfer_syntax_uid,
            length=stored.length - head,
            file=stored,
        )


def discard(fetched: Fetched) -> None:
    """Remove the file of an instance, unless it is the spool's own. Never raises."""
    if fetched.reference.spooled is None:
        remove(fetched.file.path)
