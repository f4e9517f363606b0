"""The data sets of the Storage Commitment Push Model: what is asked for, and what is reported (PS3.4 annex J).

Pure. pydicom reads them: there is one to a study, and not one to an instance.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from .command import encode_uid
from .propose import Syntaxes

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
REQUEST: Final = 1
"""Action Type ID of a request (PS3.4 table J.3-1)."""
ALL_COMMITTED: Final = 1
"""Event Type ID of a report (PS3.4 table J.3-3)."""
FAILURES_EXIST: Final = 2
_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
TRANSFER_SYNTAXES: Final = (_EXPLICIT, _IMPLICIT)
"""In which it is spoken of, the best first."""
CONTEXTS: Final = tuple(Syntaxes(PUSH_MODEL, one) for one in TRANSFER_SYNTAXES)
_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00081150, 0x00081155
_TRANSACTION_UID, _FAILURE_REASON, _FAILED, _REFERENCED = 0x00081195, 0x00081197, 0x00081198, 0x00081199
_UID: Final = re.compile(r"(?!.{65})[0-9]+(?:\.[0-9]+)*")


class NotCommitment(ValueError):
    """A data set is none of storage commitment; the message says what it lacks, without a value of it."""


class Reference(NamedTuple):
    """An instance that is spoken of: its SOP Class and SOP Instance UID."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """The Action Information of a request (PS3.4 table J.3-2)."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The Event Information of a report (PS3.4 table J.3-4): all that was asked for is in one of the two.

    `failed` has the Failure Reason (0008,1197) of each (PS3.3 C.14.1.1).
    """

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()

    @property
    def event_type(self) -> int:
        """The Event Type ID."""
        return FAILURES_EXIST if self.failed else ALL_COMMITTED


def encode_commitment_request(request: CommitmentRequest, transfer_syntax: str) -> bytes:
    """Return a request as a data set in Implicit or Explicit VR Little Endian."""
    write = _Writer(transfer_syntax)
    references = b"".join(write.item(reference) for reference in request.references)
    return write.uid(_TRANSACTION_UID, request.transaction_uid) + write.sequence(_REFERENCED, references)


def decode_commitment_request(data: bytes, transfer_syntax: str) -> CommitmentRequest:
    """Return the request in a data set. Raises NotCommitment."""
    with _reading():
        data_set = _decode(data, transfer_syntax)
        references = tuple(_references(data_set, "ReferencedSOPSequence"))
        if not references:
            raise NotCommitment("ReferencedSOPSequence (0008,1199) is missing or empty")
        return CommitmentRequest(_transaction(data_set), references)


def encode_commitment_report(report: CommitmentReport, transfer_syntax: str) -> bytes:
    """Return a report as a data set in Implicit or Explicit VR Little Endian."""
    write = _Writer(transfer_syntax)
    committed = b"".join(write.item(reference) for reference in report.committed)
    failed = b"".join(write.item(reference, write.number(_FAILURE_REASON, why)) for reference, why in report.failed)
    return (
        write.uid(_TRANSACTION_UID, report.transaction_uid)
        + (write.sequence(_FAILED, failed) if failed else b"")
        + (write.sequence(_REFERENCED, committed) if committed else b"")
    )


def decode_commitment_report(data: bytes, transfer_syntax: str) -> CommitmentReport:
    """Return the report in a data set. Raises NotCommitment."""
    with _reading():
        data_set = _decode(data, transfer_syntax)
        failed = tuple(_references(data_set, "FailedSOPSequence"))
        reasons = [
            int.from_bytes(_raw(item, _FAILURE_REASON)[:2], "little") or 0x0110
            for item in data_set.get("FailedSOPSequence") or ()
        ]
        return CommitmentReport(
            _transaction(data_set),
            tuple(_references(data_set, "ReferencedSOPSequence")),
            tuple(zip(failed, reasons, strict=True)),
        )


class _Writer:
    """Writes elements (PS3.5 7.1): 10 000 references take pydicom a second of the interpreter, and this a hundredth."""

    def __init__(self, transfer_syntax: str) -> None:
        self._is_implicit = transfer_syntax == _IMPLICIT

    def uid(self, tag: int, value: str) -> bytes:
        """Return an element of VR UI."""
        return self._element(tag, b"UI", encode_uid(value))

    def number(self, tag: int, value: int) -> bytes:
        """Return an element of VR US."""
        return self._element(tag, b"US", struct.pack("<H", value))

    def item(self, reference: Reference, more: bytes = b"") -> bytes:
        """Return a sequence item that refers to an instance, with further elements behind."""
        value = self.uid(_SOP_CLASS_UID, reference.sop_class_uid) + self.uid(_SOP_INSTANCE_UID, reference[1]) + more
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value

    def sequence(self, tag: int, items: bytes) -> bytes:
        """Return an element of VR SQ."""
        if self._is_implicit:
            return self._element(tag, b"SQ", items)
        return struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, b"SQ", len(items)) + items

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if self._is_implicit:
            return struct.pack("<HHI", group, element, len(value)) + value
        return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def _references(data_set: Dataset, keyword: str) -> Iterable[Reference]:
    for item in data_set.get(keyword) or ():
        uids = [_uid(item, one) for one in (_SOP_CLASS_UID, _SOP_INSTANCE_UID)]
        if not all(map(_UID.fullmatch, uids)):
            raise NotCommitment(f"an item of {keyword} lacks its SOP class or its SOP instance UID")
        yield Reference(*uids)


def _transaction(data_set: Dataset) -> str:
    uid = _uid(data_set, _TRANSACTION_UID)
    if not _UID.fullmatch(uid):
        raise NotCommitment("TransactionUID (0008,1195) is missing or no UID")
    return uid


def _uid(data_set: Dataset, tag: int) -> str:
    return _raw(data_set, tag).rstrip(b"\0 ").decode("ascii")


def _raw(data_set: Dataset, tag: int) -> bytes:
    """Return the bytes of an element: what pydicom makes of a value, it also writes into a log."""
    element = data_set.get_item(tag)
    return bytes(element.value) if isinstance(element, RawDataElement) and element.value else b""


def _decode(data: bytes, transfer_syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), transfer_syntax == _IMPLICIT, True)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn whatever pydicom makes of a stranger's bytes, now or when a value is looked at, into NotCommitment."""
    try:
        yield
    except NotCommitment:
        raise
    except Exception as error:
        raise NotCommitment(f"the data set cannot be read: {type(error).__name__}") from error
