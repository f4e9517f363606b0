"""The data sets of the Storage Commitment Push Model: what is asked for, and what is reported (PS3.4 annex J).

Pure. pydicom reads and writes them: there is one to a study, and not one to an instance.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NamedTuple

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

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
    data_set = Dataset()
    data_set.TransactionUID = request.transaction_uid
    data_set.ReferencedSOPSequence = Sequence(_items(request.references))
    return _encode(data_set, transfer_syntax)


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
    data_set = Dataset()
    data_set.TransactionUID = report.transaction_uid
    if report.committed:
        data_set.ReferencedSOPSequence = Sequence(_items(report.committed))
    if report.failed:
        items = _items(reference for reference, _ in report.failed)
        for item, (_, reason) in zip(items, report.failed, strict=True):
            item.FailureReason = reason
        data_set.FailedSOPSequence = Sequence(items)
    return _encode(data_set, transfer_syntax)


def decode_commitment_report(data: bytes, transfer_syntax: str) -> CommitmentReport:
    """Return the report in a data set. Raises NotCommitment."""
    with _reading():
        data_set = _decode(data, transfer_syntax)
        failed = tuple(_references(data_set, "FailedSOPSequence"))
        reasons = [int(item.get("FailureReason") or 0x0110) for item in data_set.get("FailedSOPSequence") or ()]
        return CommitmentReport(
            _transaction(data_set),
            tuple(_references(data_set, "ReferencedSOPSequence")),
            tuple(zip(failed, reasons, strict=True)),
        )


def _items(references: Iterable[Reference]) -> list[Dataset]:
    items = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        items.append(item)
    return items


def _references(data_set: Dataset, keyword: str) -> Iterable[Reference]:
    for item in data_set.get(keyword) or ():
        uids = [str(item.get(one) or "") for one in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")]
        if not all(map(_UID.fullmatch, uids)):
            raise NotCommitment(f"an item of {keyword} lacks its SOP class or its SOP instance UID")
        yield Reference(*uids)


def _transaction(data_set: Dataset) -> str:
    uid = str(data_set.get("TransactionUID") or "")
    if not _UID.fullmatch(uid):
        raise NotCommitment("TransactionUID (0008,1195) is missing or no UID")
    return uid


def _encode(data_set: Dataset, transfer_syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax == _IMPLICIT
    write_dataset(buffer, data_set)
    return buffer.getvalue()


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
