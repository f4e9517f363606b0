"""QIDO-RS: searches an origin server page by page, and comes to an end whatever the server does (PS3.18 10.6).

A server may cap a page without saying so, ignore `offset`, send a page again, or shift pages while studies come in. So
the next page is asked for until one brings nothing that is new, and what came before is left out.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Final, Protocol

from dicomroute_gateway.configuration.destinations import Provider
from dicomroute_gateway.decoded import Attributes, Element
from dicomroute_gateway.reasons import Reason

from . import json_model, resources
from .client import Client, Response, TransportFailed
from .endpoint import Endpoint
from .faults import AnswerFailed
from .retry_after import retry_after_seconds
from .searchable import SEARCHING, Resource, Search, parameters, path

_MOST_PAGE_BYTES: Final = 64 << 20
_THROTTLED: Final = (429, 503)
_USUAL_WAIT_SECONDS: Final = 1.0
_UNIQUE_KEYS: Final = (0x0020000D, 0x0020000E, 0x00080018)
"""Study, Series and SOP Instance UID."""
_DEPTH: Final = {Resource.STUDIES: 1, Resource.SERIES: 2, Resource.INSTANCES: 3}
"""How many of them identify a match."""


class Origin(Endpoint, Protocol):
    """An origin server: where it is, and whose."""

    @property
    def provider(self) -> Provider:
        """Whose it is."""

    @property
    def partition(self) -> str:
        """The data partition of an Azure DICOM service, "" where it has none."""


class SearchFailed(AnswerFailed):
    """A search was not answered with a page."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page brought that is new.

    `without_key` is how many of its matches lacked a unique key: they are of no use to anybody. `is_last`: no further
    page is to be asked for.
    """

    matches: Sequence[Attributes]
    without_key: int
    is_last: bool


class Pages:
    """One search: its pages one after the other, each asked for when it is wanted. For one task at a time."""

    def __init__(self, client: Client, origin: Origin, search: Search, timeout_seconds: float) -> None:
        self._client = client
        self._origin = origin
        self._search = search
        self._timeout_seconds = timeout_seconds
        self._offset = 0
        self._seen: set[tuple[str, ...]] = set()
        self._includes = True

    async def page(self) -> Page:
        """Return the next page, within the time-out. Raises SearchFailed, CredentialFault, TransportFailed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._found()
        except TimeoutError as error:
            raise TransportFailed(
                Reason.TIMED_OUT, f"{self._origin.url} did not answer a search completely in time"
            ) from error
        self._offset += len(found)
        new, without_key = list[Attributes](), 0
        for match in found:
            key = self._key(match)
            if not all(key):
                without_key += 1
            elif key not in self._seen:
                self._seen.add(key)
                new.append(match)
        return Page(new, without_key, is_last=not new)

    def _key(self, match: dict[int, Element]) -> tuple[str, ...]:
        """Return the unique keys of a match; those that its path names are so whatever the server leaves out."""
        named = (self._search.study_instance_uid, self._search.series_instance_uid, "")
        tags = _UNIQUE_KEYS[: _DEPTH[self._search.resource]]
        for tag, uid in zip(tags, named, strict=False):
            if uid and (tag not in match or not match[tag].text):
                match[tag] = Element("UI", (uid,))
        return tuple(match[tag].text if tag in match else "" for tag in tags)

    async def _found(self) -> Sequence[dict[int, Element]]:
        """Return what the server has from the offset on; a server that wants to be left alone is asked once more."""
        for waits in (True, False):
            async with self._client.request(self._origin, "GET", self._url(), _ACCEPTED) as response:
                if response.status in (200, 206):
                    return await _decoded(response)
                # A server may not know a study, and one may say of a page behind the last that there is none.
                is_within = bool(self._search.study_instance_uid)
                if response.status == 204 or (response.status == 404 and (is_within or self._offset)):
                    return []
                if response.status in _THROTTLED and waits:
                    seconds = retry_after_seconds(response.headers.get("Retry-After"), time.time())
                elif response.status == 400 and self._includes and not self._offset:
                    self._includes = False  # what it does not know to include, it need not
                    return await self._found()
                else:
                    raise _failure(response.status)
            await asyncio.sleep(_USUAL_WAIT_SECONDS if seconds is None else seconds)
        raise AssertionError

    def _url(self) -> str:
        searching = SEARCHING[self._origin.provider]
        paging = [f"limit={searching.most}", *([f"offset={self._offset}"] if self._offset else [])]
        where = path(self._search, resources.studies(self._origin))
        return f"{where}?{'&'.join((*parameters(self._search, searching, included=self._includes), *paging))}"


_ACCEPTED: Final = {"Accept": "application/dicom+json"}


async def _decoded(response: Response) -> Sequence[dict[int, Element]]:
    content = await response.read(_MOST_PAGE_BYTES + 1)
    if len(content) > _MOST_PAGE_BYTES:
        sentence = f"a page of the answer has more than {_MOST_PAGE_BYTES >> 20} MiB: the archive ignores the limit"
        raise SearchFailed(Reason.ANSWER_TOO_LARGE, response.status, sentence)
    kind = Message()
    kind["Content-Type"] = response.headers.get("Content-Type", "")
    charset = kind.get_param("charset")
    try:
        return await asyncio.to_thread(json_model.decode, content, charset if isinstance(charset, str) else None)
    except json_model.NotDicomJson as error:
        raise SearchFailed(
            Reason.ANSWER_UNREADABLE, response.status, f"the archive's answer to a search is not valid: {error}"
        ) from error


def _failure(status: int) -> SearchFailed:
    match status:
        case 413:
            return SearchFailed(Reason.TOO_BROAD, status, "the archive refuses a search as too broad (HTTP 413)")
        case 401 | 403:
            return SearchFailed(
                Reason.NOT_AUTHORIZED, status, f"the archive does not let the gateway search (HTTP {status})"
            )
        case 429 | 503:
            return SearchFailed(Reason.THROTTLED, status, f"the archive limits the rate of requests (HTTP {status})")
        case _ if status >= 500:
            return SearchFailed(Reason.SERVER_ERROR, status, f"the archive failed to search (HTTP {status})")
        case _:
            return SearchFailed(Reason.SEARCH_REFUSED, status, f"the archive refused a search (HTTP {status})")
