"""Makes parcels of instances: as they came, or what a recipe makes of them, once and durably, for every attempt."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.recipe import AS_IT_CAME, Deidentify, Recipe, Step, Transcode, Transform
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.changes import compile_transform
from dicomroute_gateway.rules.head import scan
from dicomroute_gateway.spool.content import StoredFile
from dicomroute_gateway.spool.part10 import file_head, file_meta, head_length
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool

from .decoders import Decoders
from .decompress import DECODED, decompress
from .deidentifiers import Deidentifiers, Made
from .deidentify.withheld import Withheld
from .failures import TreatmentFailed
from .parcel import Parcel
from .plans import Plans
from .transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    alternatives,
    transcode,
)
from .transform import Came, Source, transform

_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_MOST_HEAD_BYTES: Final = 1024


class Preparing:
    """Makes what is sent of what came. Safe to use from several threads."""

    def __init__(self, spool: Spool, secrets: Path) -> None:
        self._spool = spool
        self._plans = Plans(secrets)
        self._mutex = threading.Lock()
        self._read = Counter[int]()
        """How often each instance is being read in a form that nobody sends."""
        self._decoders = Decoders()
        self._deidentifiers = Deidentifiers(self._decoders)

    def parcel(self, received: Received) -> Parcel:
        """Return an instance as it came."""
        return Parcel(
            AS_IT_CAME,
            received.sop_class_uid,
            received.sop_instance_uid,
            received.series_instance_uid,
            received.study_instance_uid,
            received.transfer_syntax_uid,
            received.length,
            self._spool.stored(received),
        )

    def treated(self, received: Received, recipe: str) -> Parcel:
        """Return what a recipe of the spool makes of an instance. Takes long the first time: not for an event loop.

        Raises TranscodingFailed, Unreadable; OSError when there is no room for it.
        """
        return self._after(received, self._spool.recipes.get(recipe).steps)

    def _after(self, received: Received, steps: tuple[Step, ...]) -> Parcel:
        """Return what steps make of an instance. Raises as `treated` does."""
        if not steps:
            return self.parcel(received)
        *before, step = steps
        match step:
            case Transcode():
                return self.in_syntax(received, self._after(received, tuple(before)), step.transfer_syntax_uid)
            case Transform():
                return self._transformed(received, self._after(received, tuple(before)), step)
            case Deidentify():
                return self._deidentified(received, tuple(before), step)

    @contextmanager
    def _meanwhile(self, received: Received, steps: tuple[Step, ...]) -> Iterator[Parcel]:
        """Give out what steps make of an instance, for as long as the step after them reads it.

        Nobody sends it, so that its files go then, unless another destination is to get one of them.
        """
        with self._mutex:
            self._read[received.id] += 1
        recipe = AS_IT_CAME
        try:
            parcel = self._after(received, steps)
            recipe = parcel.recipe
            yield parcel
        finally:
            with self._mutex:
                self._read[received.id] -= 1
                if not self._read[received.id]:
                    del self._read[received.id]
                    on_the_way = [Recipe(recipe.steps[:end]).id for end in range(1, len(recipe.steps) + 1)]
                    self._spool.forget_derived(received.id, on_the_way)

    def _transformed(self, received: Received, parcel: Parcel, step: Transform) -> Parcel:
        """Return a parcel with changed attributes. Raises as `treated` does."""
        if parcel.transfer_syntax_uid in (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
            parcel = self.in_syntax(received, parcel, EXPLICIT_VR_LITTLE_ENDIAN)
        came = Came(received.sender.facts, received.time)

        def make() -> Iterator[bytes]:
            head = parcel.file.length - parcel.length
            with parcel.file.open() as content:
                yield file_head(parcel.sop_class_uid, parcel.sop_instance_uid, parcel.transfer_syntax_uid)
                source = Source(
                    parcel.transfer_syntax_uid,
                    parcel.length,
                    partial(content.stream, head),
                    lambda offset, length: content.read_at(head + offset, length),
                )
                yield from transform(source, compile_transform(step), came)

        return self._made(received, parcel, step, make)

    def _deidentified(self, received: Received, before: tuple[Step, ...], step: Deidentify) -> Parcel:
        """Return a parcel with another identity. Raises as `treated` does."""
        form = self._plans.form(step)

        def make() -> Iterator[bytes]:
            with self._meanwhile(received, before) as parcel, parcel.file.open() as content:
                head = parcel.file.length - parcel.length

                def read(offset: int, length: int) -> bytes:
                    return content.read_at(head + offset, length)

                try:
                    yield from self._deidentifiers.file(read, parcel.length, parcel.transfer_syntax_uid, form, _head_of)
                except Withheld as error:
                    raise TreatmentFailed(error.reason, str(error)) from error

        recipe = Recipe((*before, step))
        try:
            file = self._spool.derived(received, recipe, make)
        except TreatmentFailed as error:
            if error.reason != Reason.TAKES_TOO_MUCH:
                raise
            # A process may have been ended for what others did; what breaks a second one does so itself.
            file = self._spool.derived(received, recipe, make)
        return _as_made(recipe, file)

    def _made(self, received: Received, parcel: Parcel, step: Step, make: Callable[[], Iterator[bytes]]) -> Parcel:
        """Return what one more step makes of a parcel, in the same transfer syntax; `make` yields the file."""
        recipe = Recipe((*parcel.recipe.steps, step))
        file = self._spool.derived(received, recipe, make)
        head = head_length(parcel.sop_class_uid, parcel.sop_instance_uid, parcel.transfer_syntax_uid)
        return replace(parcel, recipe=recipe, length=file.length - head, file=file)

    def in_syntax(self, received: Received, parcel: Parcel, transfer_syntax_uid: str) -> Parcel:
        """Return a parcel of `received` in another transfer syntax. Takes long the first time: not for an event loop.

        Raises TranscodingFailed, Unreadable; OSError when there is no room for it.
        """
        if parcel.transfer_syntax_uid == transfer_syntax_uid:
            return parcel
        step = Transcode(transfer_syntax_uid=transfer_syntax_uid)
        make = partial(self.converted, parcel, transfer_syntax_uid)
        return self._made(received, replace(parcel, transfer_syntax_uid=transfer_syntax_uid), step, make)

    def converted(self, parcel: Parcel, transfer_syntax_uid: str) -> Iterator[bytes]:
        """Yield the file of a parcel in another transfer syntax. Raises TranscodingFailed, Unreadable."""
        yield file_head(parcel.sop_class_uid, parcel.sop_instance_uid, transfer_syntax_uid)
        source, head = parcel.transfer_syntax_uid, parcel.file.length - parcel.length
        with parcel.file.open() as content:
            data_set = partial(content.stream, head)
            if source in DECODED:
                yield from decompress(data_set, parcel.length, source, transfer_syntax_uid, self._decoders)
            else:
                yield from transcode(data_set(), parcel.length, source, transfer_syntax_uid)


def _head_of(made: Made) -> bytes:
    return file_head(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid)


def _as_made(recipe: Recipe, file: StoredFile) -> Parcel:
    """Return the parcel in a file, under the identity that it has there.

    It is what the key of that day made: the key of today may be another one. Raises Unreadable.
    """
    with file.open() as content:
        meta = file_meta(content.read_at(0, min(file.length, _MOST_HEAD_BYTES)))
        assert meta is not None, "every file that is made here has File Meta Information"

        def read(offset: int, length: int) -> bytes:
            return content.read_at(meta.length_before + offset, min(length, file.length - meta.length_before - offset))

        found = scan(read, meta.transfer_syntax_uid, (_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID))
    series, study = (
        found[tag].value.rstrip(b"\0 ").decode("latin-1") if tag in found else ""
        for tag in (_SERIES_INSTANCE_UID, _STUDY_INSTANCE_UID)
    )
    length = file.length - meta.length_before
    return Parcel(
        recipe, meta.sop_class_uid, meta.sop_instance_uid, series, study, meta.transfer_syntax_uid, length, file
    )


def other_forms(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the transfer syntaxes that an instance can be sent in beside its own, the best one first."""
    if transfer_syntax_uid in DECODED:
        return (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    return alternatives(transfer_syntax_uid)
