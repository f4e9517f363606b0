"""Reads the Store Instances Response Module from the body of an answer (PS3.18 annex I). Pure.

A tolerant walk instead of a reader of data sets: old servers write codes as text where numbers belong.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

_WARNING_REASON: Final = "00081196"
_FAILURE_REASON: Final = "00081197"
_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_JSON: Final = ("application/dicom+json", "application/json")
_XML: Final = ("application/dicom+xml", "application/xml", "text/xml")
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_REASONS: Final = range(1 << 16)
_FOUR_HEXADECIMAL_DIGITS: Final = re.compile(r"[0-9A-Fa-f]{4}")


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """An HTTP answer as far as it matters here; `body` is cut off at the size that the client reads."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a server says of instances: which it stored, and the failure reason of those that it did not.

    `nameless` are the reasons of failed items without a SOP Instance UID, as of parts that it could not parse;
    `warnings` are the reasons that it gave for some of those that it stored.
    """

    stored: frozenset[str]
    failed: dict[str, int]
    nameless: tuple[int, ...] = ()
    warnings: dict[str, int] = field(default_factory=dict)

    @property
    def names_something(self) -> bool:
        """Whether anything is said of any instance."""
        return bool(self.stored or self.failed or self.nameless)


def parse_result(answer: HTTPAnswer) -> StoreResult | None:
    """Return the result in a body of DICOM JSON or XML, whatever the status; None when there is none.

    Where no media type is said, the body shows it by how it begins. Whatever a parser makes of a stranger's bytes,
    among them an encoding that does not exist, is no result.
    """
    media_type = answer.content_type.partition(";")[0].strip().lower()
    begins = answer.body.lstrip(_BLANK)[:1] if not media_type else b""
    try:
        if media_type in _JSON or begins in (b"{", b"["):
            return _parse_json(answer.body)
        if media_type in _XML or begins == b"<":
            return _parse_xml(answer.body)
    except (ValueError, LookupError, RecursionError, ElementTree.ParseError):
        return None
    return None


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of one of the sequences; a reason that is not there is None."""

    uid: str
    failure: int | None
    warning: int | None


def _result(stored: Iterable[_Item], failed: Iterable[_Item], others: Iterable[_Item]) -> StoreResult:
    named = {item.uid: item for item in stored if item.uid}
    failures: dict[str, int] = {}
    nameless: list[int] = []
    for item in (*failed, *others):
        if item.uid:
            failures[item.uid] = item.failure or 0
        else:
            nameless.append(item.failure or 0)
    return StoreResult(
        frozenset(named.keys() - failures.keys()),
        failures,
        tuple(nameless),
        {uid: item.warning for uid, item in named.items() if item.warning is not None and uid not in failures},
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; one that says something twice says nothing: the second could undo a failure.

    Raises ValueError.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _parse_json(body: bytes) -> StoreResult | None:
    document = json.loads(body, object_pairs_hook=_object)
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    sequences = (_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE)
    return _result(*(_json_items(document, tag) for tag in sequences))


def _json_items(document: dict[str, Any], tag: str) -> Iterator[_Item]:
    for item in _json_values(document, tag):
        if isinstance(item, dict):
            yield _Item(
                _text(_json_value(item, _REFERENCED_SOP_INSTANCE_UID)),
                _number(_json_value(item, _FAILURE_REASON)),
                _number(_json_value(item, _WARNING_REASON)),
            )


def _json_value(item: dict[str, Any], tag: str) -> Any:
    return next(iter(_json_values(item, tag)), None)


def _json_values(document: dict[str, Any], tag: str) -> list[Any]:
    element = document.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _text(value: Any) -> str:
    return value.rstrip("\0 ") if isinstance(value, str) else ""


def _parse_xml(body: bytes) -> StoreResult | None:
    """Return the result in Native DICOM Model XML (PS3.19 A.1). A document type, which entities need, is refused."""
    parser = ElementTree.XMLParser(target=_NoDocumentType())  # noqa: S314  without a document type no entities
    parser.feed(body)
    root: ElementTree.Element = parser.close()
    sequences = (_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE)
    return _result(*(_xml_items(root, tag) for tag in sequences))


class _NoDocumentType(ElementTree.TreeBuilder):
    """Builds a tree, and refuses a document type before an entity can be declared in it."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse."""
        raise ValueError(f"a document type {name} {pubid} {system}")


def _xml_items(root: ElementTree.Element, tag: str) -> Iterator[_Item]:
    for attribute in root:
        if (attribute.get("tag") or "").upper() != tag:
            continue
        for item in attribute:
            if item.tag.rpartition("}")[2] == "Item":
                yield _Item(
                    _text(_xml_value(item, _REFERENCED_SOP_INSTANCE_UID)),
                    _number(_xml_value(item, _FAILURE_REASON)),
                    _number(_xml_value(item, _WARNING_REASON)),
                )


def _xml_value(item: ElementTree.Element, tag: str) -> str | None:
    for attribute in item:
        if attribute.get("tag") == tag:
            values = (child for child in attribute if child.tag.rpartition("}")[2] == "Value")
            return next(((child.text or "").strip() for child in values), None)
    return None


def _number(value: Any) -> int | None:
    """Return a reason: text of four hexadecimal digits in Orthanc before 1.6, of others decimal; 0 says nothing."""
    if isinstance(value, str):
        try:
            value = int(value, 16 if _FOUR_HEXADECIMAL_DIGITS.fullmatch(value) else 10)
        except ValueError:
            return 0
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if value in _REASONS else 0
