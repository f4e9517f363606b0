"""Queries of a CloudTarget for what it was sent: a QIDO-RS search a series, with UIDs of its instances (PS3.18 10.6).

What a server answers is matched here: one may ignore the list, or cap a page without saying so.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from dicomroute_gateway.configuration.destinations import CloudTargetDestination, Provider
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.transport import Item, Sent
from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.dicomweb.client import Client, CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.reasons import Reason

_UIDS_A_SEARCH: Final = 40
"""So that a URL stays below 4 KiB."""
_PAGE: Final = 200
"""What Azure takes at most."""
_MOST_PAGES: Final = 500
_MOST_PAGE_BYTES: Final = 16 << 20
_SEARCH_SECONDS: Final = 60.0
_WITHOUT_LISTS: Final = (Provider.AZURE, Provider.GOOGLE, Provider.AWS)
"""Providers that do not match lists of UIDs: of them all instances of a series are asked for."""
_ACCEPTED: Final = {"Accept": "application/dicom+json"}
_SOP_CLASS_UID, _SOP_INSTANCE_UID = "00080016", "00080018"


class _Unanswered(Exception):
    """The target gave no answer to a search."""

    def __init__(self, outcome: AttemptOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class QueryConfirmation:
    """Asks a CloudTarget whether it has what it was sent. `target` returns it as it is configured at the moment."""

    batch_instances = 500

    def __init__(self, target: Callable[[], CloudTargetDestination | None], secrets: Path, tokens: TokenCache) -> None:
        self._target = target
        self._client = Client(secrets, tokens)

    async def ask(self, items: Sequence[Item], seconds: float) -> Sent:
        """Search for `items`. One that is not found may still be on its way to the index, until the time is over."""
        target = self._target()
        if target is None:
            return Sent([AttemptOutcome(Verdict.RETRY, Reason.NO_SUCH_DESTINATION)] * len(items), "")
        series: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            series[item.parcel.study_instance_uid, item.parcel.series_instance_uid].append(index)
        outcomes: dict[int, AttemptOutcome] = {}
        sentence = ""
        for names, indexes in series.items():
            wanted = {items[index].parcel.sop_instance_uid: items[index].parcel.sop_class_uid for index in indexes}
            try:
                found = await self._search(target, *names, wanted)
            except _Unanswered as error:
                outcomes.update(dict.fromkeys(indexes, error.outcome))
                sentence = str(error)
                continue
            for index in indexes:
                if items[index].parcel.sop_instance_uid in found:
                    outcomes[index] = AttemptOutcome(Verdict.DELIVERED, Reason.FOUND)
                else:
                    verdict = Verdict.RETRY if seconds > 0 else Verdict.DOUBTFUL
                    outcomes[index] = AttemptOutcome(verdict, Reason.NOT_FOUND)
                    sentence = "the target answered that it took the instance, but a search does not find it"
        return Sent([outcomes[index] for index in range(len(items))], sentence)

    async def close(self) -> None:
        """Close connections that are kept."""
        await self._client.close()

    async def _search(
        self, target: CloudTargetDestination, study: str, series: str, wanted: dict[str, str]
    ) -> set[str]:
        """Return which of the instances are found; `wanted` are their SOP classes by SOP Instance UID."""
        path = resources.below(target, study, series)
        if path is None:
            sentence = "the instance has no Study or Series Instance UID to search for"
            raise _Unanswered(AttemptOutcome(Verdict.RETRY, Reason.NOT_SEARCHABLE), sentence)
        path = f"{path}/instances"
        uids = list(wanted)
        if target.provider in _WITHOUT_LISTS:
            return await self._pages(target, path, wanted, "")
        found: set[str] = set()
        for start in range(0, len(uids), _UIDS_A_SEARCH):
            some = {uid: wanted[uid] for uid in uids[start : start + _UIDS_A_SEARCH]}
            found |= await self._pages(target, path, some, f"SOPInstanceUID={','.join(some)}&")
        return found

    async def _pages(
        self, target: CloudTargetDestination, path: str, wanted: dict[str, str], matching: str
    ) -> set[str]:
        """Return which are on the pages of a search: as far as all are found, or a page brings nothing new."""
        found: set[str] = set()
        seen: set[str] = set()
        offset = 0
        for _ in range(_MOST_PAGES):
            page = await self._page(target, f"{path}?{matching}limit={_PAGE}" + (f"&offset={offset}" if offset else ""))
            uids = {_value(match, _SOP_INSTANCE_UID): _value(match, _SOP_CLASS_UID) for match in page}
            # A server may leave out the class; one that says another has something else.
            found |= {uid for uid, class_uid in uids.items() if uid in wanted and class_uid in ("", wanted[uid])}
            if not uids.keys() - seen or found == wanted.keys():
                break
            seen |= uids.keys()
            offset += len(page)
        return found

    async def _page(self, target: CloudTargetDestination, path: str) -> list[dict[str, Any]]:
        try:
            async with (
                asyncio.timeout(_SEARCH_SECONDS),
                self._client.request(target, "GET", path, _ACCEPTED) as response,
            ):
                content = await response.read(_MOST_PAGE_BYTES + 1)
                status = response.status
        except CredentialFault as error:
            raise _Unanswered(AttemptOutcome(Verdict.RETRY, error.reason), str(error)) from error
        except TransportFailed as error:
            raise _Unanswered(AttemptOutcome(Verdict.RETRY, error.reason), str(error)) from error
        except TimeoutError as error:
            sentence = f"{target.url} did not answer a search completely in time"
            raise _Unanswered(AttemptOutcome(Verdict.RETRY, Reason.TIMED_OUT), sentence) from error
        if status in (204, 404):
            return []
        if status not in (200, 206):
            sentence = f"the target refuses a search for the instance: HTTP {status}"
            raise _Unanswered(AttemptOutcome(Verdict.RETRY, Reason.SEARCH_REFUSED, status), sentence)
        try:
            document = await asyncio.to_thread(json.loads, content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
            raise _Unanswered(
                AttemptOutcome(Verdict.RETRY, Reason.SEARCH_UNREADABLE, status),
                "its answer to a search is not DICOM JSON",
            )
        return document


def _value(match: dict[str, Any], tag: str) -> str:
    """Return the first value of an element in the DICOM JSON model (PS3.18 F.2), "" where there is none."""
    element = match.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]).rstrip("\0 ") if isinstance(values, list) and values else ""
