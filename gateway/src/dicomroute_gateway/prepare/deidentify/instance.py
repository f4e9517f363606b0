"""De-identifies one instance: what it is about, what becomes of it, its data set, and a last look at all of it."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dicomroute_gateway.configuration.profile import Region
from dicomroute_gateway.prepare.decoders import LendsDecoders
from dicomroute_gateway.prepare.decompress import DECODED, decompress
from dicomroute_gateway.prepare.elements import EXPLICIT, IMPLICIT, Elements, Encoding
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.prepare.piped import piped
from dicomroute_gateway.prepare.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transcode,
)
from dicomroute_gateway.reasons import Reason

from .engine import Writing
from .objects import judge
from .plan import Plan
from .pseudonyms import is_uid
from .subject import read_subject
from .syntaxes import FRAMES
from .withheld import Withheld

_READ = {EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT, IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT}
_TURNED = (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
OpenDataSet = Callable[[], io.BufferedReader]


@dataclass(frozen=True, slots=True)
class Deidentified:
    """What an instance becomes: its identity and transfer syntax, its data set, and regions that are blackened in it.

    `pieces` raises Withheld, OSError and what reading raises, to the very end; what was yielded before is then of no
    use, and has to be thrown away.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    pieces: Iterator[bytes]
    masked: tuple[Region, ...] = ()


def deidentify(
    open_data_set: OpenDataSet, length: int, transfer_syntax_uid: str, plan: Plan, decoders: LendsDecoders
) -> Deidentified:
    """Return what the data set of `length` bytes becomes that `open_data_set` returns a file of. It is read twice.

    Raises Withheld, OSError, and what reading raises.
    """
    if transfer_syntax_uid not in _READ and transfer_syntax_uid not in _TURNED and transfer_syntax_uid not in FRAMES:
        raise Withheld(
            Reason.CANNOT_BE_READ, f"what is in frames of transfer syntax {transfer_syntax_uid} cannot be looked at"
        )
    try:
        subject = read_subject(*_opened(open_data_set, length, transfer_syntax_uid))
    except TranscodingFailed as error:
        raise Withheld(Reason.CANNOT_BE_READ, str(error)) from error
    plan = plan.about(subject)
    regions = judge(plan, subject)
    instance, series, study = (subject.text(tag) for tag in (0x00080018, 0x0020000E, 0x0020000D))
    if not is_uid(instance):
        raise Withheld(Reason.CANNOT_BE_READ, "it has no SOP Instance UID (0008,0018)")
    target = transfer_syntax_uid if transfer_syntax_uid in FRAMES else EXPLICIT_VR_LITTLE_ENDIAN
    if subject.has_pixels and transfer_syntax_uid in FRAMES and (regions or subject.overlay_bits):
        if transfer_syntax_uid not in DECODED:
            raise Withheld(Reason.CANNOT_BE_MASKED, f"there is no decoder for transfer syntax {transfer_syntax_uid}")
        target = EXPLICIT_VR_LITTLE_ENDIAN
        source = decompress(open_data_set, length, transfer_syntax_uid, target, decoders)
        elements = Elements(piped(source), None, EXPLICIT)
    else:
        elements = Elements(*_opened(open_data_set, length, transfer_syntax_uid))
    writing = Writing(elements, plan, subject, target, regions)
    instance, series, study = (plan.new_uid(uid) for uid in (instance, series, study))
    return Deidentified(subject.text(0x00080016), instance, series, study, target, _checked(writing), regions or ())


def _opened(open_data_set: OpenDataSet, length: int, transfer_syntax_uid: str) -> tuple[BinaryIO, int | None, Encoding]:
    """Return a file in little endian, its length and how its elements are written."""
    if transfer_syntax_uid not in _TURNED:
        return open_data_set(), length, _READ.get(transfer_syntax_uid, EXPLICIT)
    pieces = transcode(open_data_set(), length, transfer_syntax_uid, EXPLICIT_VR_LITTLE_ENDIAN)
    return piped(pieces), None, EXPLICIT


def _checked(writing: Writing) -> Iterator[bytes]:
    try:
        yield from writing.data_set()
    except TranscodingFailed as error:
        raise Withheld(Reason.CANNOT_BE_READ, str(error)) from error
    writing.residue.check()
