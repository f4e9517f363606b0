"""What an answer to a STOW-RS request means for each instance that was sent (PS3.18 10.5.3). Pure.

The instance is looked up in the lists of the body; the status alone never makes a delivery. An instance in
neither list has an unknown outcome and is sent again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from xml.etree import ElementTree

_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_FAILURE_REASON: Final = "00081197"


class Verdict(Enum):
    """What is to be done with an instance after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Not the instance's fault, or nobody knows: try again, for ever."""
    ALONE = "alone"
    """Refused as part of a batch: try again in halves and at last alone, so that the refusal says whom it means."""
    REFUSED = "refused"
    """The content was refused for a reason that will not change."""
    DOUBTFUL = "doubtful"
    """The content was refused for a reason that may pass."""
    DUPLICATE = "duplicate"
    """The destination has an instance of this UID: our own, if an earlier attempt was made."""
    PAUSE = "pause"
    """The destination takes nothing as it is configured: wait for a change, try again now and then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one instance; `reason` and `status` are what a person is shown of it."""

    verdict: Verdict
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as far as it matters here; `body` is cut off at the size that the client reads."""

    status: int
    content_type: str
    body: bytes


def outcomes(answer: Answer, sent: Sequence[str]) -> list[Outcome]:
    """Return the outcome of each SOP Instance UID in `sent`, in that order."""
    result = parse_result(answer) if answer.status < 500 else None
    if result is None or not (result.stored or result.failed or result.nameless):
        whole = _without_result(answer.status, alone=len(sent) == 1, has_body=result is not None)
        return [whole] * len(sent)
    return [_of_one(uid, result, answer.status, alone=len(sent) == 1) for uid in sent]


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a server says of instances: which it stored, and the failure reason of those that it did not.

    `nameless` are the reasons of failed items without a SOP Instance UID, as of parts that it could not parse.
    """

    stored: frozenset[str]
    failed: dict[str, int]
    nameless: tuple[int, ...] = ()


def parse_result(answer: Answer) -> StoreResult | None:
    """Return the result in a body of DICOM JSON or XML, whatever the status; None when there is none."""
    media_type = answer.content_type.partition(";")[0].strip().lower()
    try:
        if media_type in ("application/dicom+json", "application/json"):
            return _parse_json(answer.body)
        if media_type in ("application/dicom+xml", "application/xml", "text/xml"):
            return _parse_xml(answer.body)
    except (ValueError, RecursionError, ElementTree.ParseError):
        return None
    return None


def _of_one(uid: str, result: StoreResult, status: int, *, alone: bool) -> Outcome:
    if uid in result.failed:
        return _failure(result.failed[uid])
    if uid in result.stored:
        return Outcome(Verdict.DELIVERED, "Stored", status)
    if alone and result.nameless and not result.stored:
        return _failure(result.nameless[0])
    if result.nameless:
        return Outcome(Verdict.ALONE, "NotInAnswer", status)
    return Outcome(Verdict.RETRY, "NotInAnswer", status)


def _failure(reason: int) -> Outcome:
    """Return the verdict for a Failure Reason (0008,1197) (PS3.18 table I.2-2, PS3.4 table B.2-1)."""
    if reason >> 8 == 0xA7:
        return Outcome(Verdict.RETRY, "OutOfResources", reason)
    if reason >> 8 == 0xA9:
        return Outcome(Verdict.REFUSED, "DataSetDoesNotMatchSOPClass", reason)
    if reason in (_BEING_CREATED, _BLOB_NOT_FOUND):
        return Outcome(Verdict.RETRY, "Busy", reason)
    if reason == _EXISTS:
        return Outcome(Verdict.DUPLICATE, "InstanceExists", reason)
    if reason == 0x0122:
        return Outcome(Verdict.REFUSED, "SOPClassNotSupported", reason)
    if reason == 0xC122:
        return Outcome(Verdict.REFUSED, "TransferSyntaxNotSupported", reason)
    if reason >> 12 == 0xC:
        return Outcome(Verdict.REFUSED, "CannotUnderstand", reason)
    return Outcome(Verdict.DOUBTFUL, "ProcessingFailure", reason)


# Microsoft's DICOM service, FailureReasonCodes.cs; no other server gives these numbers another meaning.
_EXISTS: Final = 45070
_BEING_CREATED: Final = 45071
_BLOB_NOT_FOUND: Final = 273

_PAUSING: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    407: "ProxyAuthenticationRequired",
    415: "UnsupportedMediaType",
    424: "FailedDependency",
}
_CONTENT: Final = {
    400: "BadRequest",
    409: "Conflict",
    411: "LengthRequired",
    413: "ContentTooLarge",
    422: "Unprocessable",
}


def _without_result(status: int, *, alone: bool, has_body: bool) -> Outcome:
    """Return the verdict for an answer that names no instance."""
    if status in _PAUSING:
        return Outcome(Verdict.PAUSE, _PAUSING[status], status)
    if 300 <= status < 400:
        return Outcome(Verdict.PAUSE, "Redirected", status)
    if status in _CONTENT:
        if not alone:
            return Outcome(Verdict.ALONE, _CONTENT[status], status)
        return Outcome(Verdict.REFUSED if status == 413 else Verdict.DOUBTFUL, _CONTENT[status], status)
    if status in (200, 202, 204):
        return Outcome(Verdict.RETRY, "AnswerNamesNoInstance" if has_body else "AnswerWithoutResult", status)
    if status in (408, 425, 429, 503):
        return Outcome(Verdict.RETRY, "Busy", status)
    return Outcome(Verdict.RETRY, "ServerError" if status >= 500 else "UnexpectedStatus", status)


def _parse_json(body: bytes) -> StoreResult | None:
    document = json.loads(body)
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    stored = frozenset(uid for item in _json_items(document, _REFERENCED_SOP_SEQUENCE) if (uid := _json_uid(item)))
    failed: dict[str, int] = {}
    nameless: list[int] = []
    for item in _json_items(document, _FAILED_SOP_SEQUENCE):
        reason = _number(next(iter(_json_values(item, _FAILURE_REASON)), 0))
        uid = _json_uid(item)
        if uid:
            failed[uid] = reason
        else:
            nameless.append(reason)
    return StoreResult(stored - failed.keys(), failed, tuple(nameless))


def _json_items(document: dict[str, Any], tag: str) -> Iterator[dict[str, Any]]:
    return (item for item in _json_values(document, tag) if isinstance(item, dict))


def _json_values(document: dict[str, Any], tag: str) -> list[Any]:
    element = document.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _json_uid(item: dict[str, Any]) -> str:
    value = next(iter(_json_values(item, _REFERENCED_SOP_INSTANCE_UID)), "")
    return value.rstrip("\0 ") if isinstance(value, str) else ""


def _parse_xml(body: bytes) -> StoreResult | None:
    """Return the result in Native DICOM Model XML (PS3.19 A.1). A document type, which entities need, is refused."""
    parser = ElementTree.XMLParser(target=_NoDocumentType())  # noqa: S314  without a document type no entities
    parser.feed(body)
    root: ElementTree.Element = parser.close()
    stored = frozenset(
        uid
        for item in _xml_items(root, _REFERENCED_SOP_SEQUENCE)
        if (uid := _xml_value(item, _REFERENCED_SOP_INSTANCE_UID))
    )
    failed: dict[str, int] = {}
    nameless: list[int] = []
    for item in _xml_items(root, _FAILED_SOP_SEQUENCE):
        reason = _number(_xml_value(item, _FAILURE_REASON))
        uid = _xml_value(item, _REFERENCED_SOP_INSTANCE_UID)
        if uid:
            failed[uid] = reason
        else:
            nameless.append(reason)
    return StoreResult(stored - failed.keys(), failed, tuple(nameless))


class _NoDocumentType(ElementTree.TreeBuilder):
    """Builds a tree, and refuses a document type before an entity can be declared in it."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise ValueError(f"a document type {name} {pubid} {system}")


def _xml_items(root: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    for attribute in root:
        if attribute.get("tag") == tag:
            yield from (child for child in attribute if child.tag.rpartition("}")[2] == "Item")


def _xml_value(item: ElementTree.Element, tag: str) -> str:
    for attribute in item:
        if attribute.get("tag") == tag:
            return next(
                ((child.text or "").strip() for child in attribute if child.tag.rpartition("}")[2] == "Value"),
                "",
            )
    return ""


def _number(value: Any) -> int:
    """Return a Failure Reason; old servers send it as text, decimal or hexadecimal."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return int(value, 16)
            except ValueError:
                return 0
    return 0
