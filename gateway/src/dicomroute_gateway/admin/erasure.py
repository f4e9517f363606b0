"""Erases what the spool has of a study or a patient: bytes, what was made of them, rows; what was owed is given up."""

from collections.abc import Iterator

from dicomroute_client.documents.erase import ErasureReport, ErasureRequest
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.head import HeadError, scan
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.entries import Entry
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Drop

_PATIENT_ID = 0x00100020


def erase(spool: Spool, request: ErasureRequest, by: str = "") -> ErasureReport:
    """Erase what is named; return what that was. The bytes go within a moment. Raises SpoolFailed."""
    report = ErasureReport()
    meant = list(_meant(spool, request, report))
    counts = spool.decisions.drop((Drop(one.received.id, reason=Reason.ERASED) for one in meant), by)
    for entry, count in zip(meant, counts, strict=True):
        report.instances.append(entry.received.id)
        report.bytes += entry.received.length
        report.deliveries += count
    return report


def _meant(spool: Spool, request: ErasureRequest, report: ErasureReport) -> Iterator[Entry]:
    study = request.study
    for entry in spool.entries(lambda one: not study or one.received.study_instance_uid == study):
        if study:
            yield entry
            continue
        try:
            found = _patient_id(spool, entry.received)
        except (HeadError, Unreadable, OSError):
            report.unread.append(entry.received.id)
            continue
        if found == request.patient.encode():
            yield entry


def _patient_id(spool: Spool, received: Received) -> bytes:
    head = received.content_length - received.length
    with spool.stored(received).open() as content:
        found = scan(
            lambda offset, length: content.read_at(head + offset, length),
            received.transfer_syntax_uid,
            frozenset((_PATIENT_ID,)),
        )
    return found[_PATIENT_ID].value.strip(b" \0") if _PATIENT_ID in found else b""
