"""STOW-RS to a CloudTarget: the request, and what is made of its answer (PS3.18 10.5)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.destinations import CloudTargetDestination, Provider
from dicomroute_gateway.deliver.attempt import apart, is_our_own
from dicomroute_gateway.deliver.cloud.replies.decision import outcomes
from dicomroute_gateway.deliver.cloud.replies.reasons import reading
from dicomroute_gateway.deliver.cloud.replies.result import HTTPAnswer
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.deliver.preparation import PREPARING, Unprepared, unprepared
from dicomroute_gateway.deliver.transport import BatchLimits, Item, Sent
from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.dicomweb.client import Body, Client, CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dicomweb.multipart import MultipartBody
from dicomroute_gateway.dicomweb.retry_after import retry_after_seconds
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.prepare.transcode import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.throttle import Throttle

from .comparison import compare
from .duplicates import NextStep, compared, overwritten, settle

_LOST_ANSWERS: Final = (Reason.CONNECTION_LOST, Reason.TIMED_OUT)
_MAX_ANSWER_BYTES: Final = 1 << 20
_EXPLICIT_VR_ALONE: Final = (Provider.AZURE,)
"""Providers that take no Implicit VR."""
_UPSERTS: Final = (Provider.AZURE, Provider.GOOGLE)
"""Providers of which PUT to the studies replaces what is there; at others an instance is deleted first."""


class StowTransport:
    """Carries instances to a CloudTarget. `target` returns it as it is configured at the moment, if it is."""

    limits = BatchLimits(lanes=8, most_lanes=32, batch_instances=10, most_batch_instances=50, batch_bytes=32 << 20)

    def __init__(
        self,
        target: Callable[[], CloudTargetDestination | None],
        secrets: Path,
        tokens: TokenCache,
        throttle: Throttle,
        preparing: Preparing,
    ) -> None:
        self._target = target
        self._client = Client(secrets, tokens, throttle)
        self._preparing = preparing

    async def send(self, items: Sequence[Item]) -> AsyncGenerator[Sent]:
        """Store `items` by one request; its answer speaks of all."""
        yield await self._store(items)

    async def _store(self, items: Sequence[Item]) -> Sent:
        """Store `items` by one request, and settle what the target says to have already."""
        target = self._target()
        if target is None:
            return Sent([AttemptOutcome(Verdict.RETRY, Reason.NO_SUCH_DESTINATION)] * len(items), "")
        taken = [await self._as_taken(target, item) for item in items]
        if faults := {index: one for index, one in enumerate(taken) if isinstance(one, Unprepared)}:
            outcomes_of = {index: one.outcome for index, one in faults.items()}
            return Sent(apart([item.delivery for item in items], outcomes_of), next(iter(faults.values())).sentence)
        items = [one for one in taken if isinstance(one, Item)]
        body = MultipartBody([item.parcel.file for item in items])
        most_bytes = resources.MOST_REQUEST_BYTES.get(target.provider)
        if most_bytes is not None and body.content_length > most_bytes:
            verdict = Verdict.REFUSED if len(items) == 1 else Verdict.ALONE
            sentence = f"{target.provider} accepts requests of up to {most_bytes} bytes, but this one is longer"
            return Sent([AttemptOutcome(verdict, Reason.TOO_LARGE)] * len(items), sentence)
        try:
            answer, wait_seconds, answer_seconds = await store(self._client, target, body)
        except CredentialFault as error:
            return Sent([AttemptOutcome(Verdict.PAUSE, error.reason)] * len(items), str(error))
        except (TransportFailed, Unreadable) as error:
            if body.fault is not None:
                index, fault = body.fault
                deliveries = [item.delivery for item in items]
                faulty = {index: AttemptOutcome(Verdict.RETRY, fault.reason)}
                return Sent(apart(deliveries, faulty, Reason.CONNECTION_LOST), str(fault))
            broke_off = isinstance(error, TransportFailed) and error.broke_off
            may_have_arrived = error.reason in _LOST_ANSWERS
            outcome = AttemptOutcome(
                Verdict.RETRY, error.reason, broke_off=broke_off, may_have_arrived=may_have_arrived
            )
            return Sent([outcome] * len(items), str(error))
        found = outcomes(answer, [item.parcel.sop_instance_uid for item in items], reading(target))
        message = f"HTTP {answer.status}"
        settled: list[AttemptOutcome] = []
        for item, outcome in zip(items, found, strict=True):
            final, sentence = await self._settle(target, item, outcome)
            settled.append(final)
            message = sentence or message
        return Sent(settled, message, wait_seconds, answer_seconds)

    async def close(self) -> None:
        """Close connections that are kept."""
        await self._client.close()

    async def _as_taken(self, target: CloudTargetDestination, item: Item) -> Item | Unprepared:
        """Return a delivery with the parcel that the target takes."""
        syntax = item.parcel.transfer_syntax_uid
        if target.provider not in _EXPLICIT_VR_ALONE or syntax != IMPLICIT_VR_LITTLE_ENDIAN:
            return item
        make = partial(self._preparing.in_syntax, item.received, item.parcel, EXPLICIT_VR_LITTLE_ENDIAN)
        try:
            return replace(item, parcel=await asyncio.get_running_loop().run_in_executor(PREPARING, make))
        except Exception as error:
            return unprepared(error)

    async def _settle(
        self, target: CloudTargetDestination, item: Item, outcome: AttemptOutcome
    ) -> tuple[AttemptOutcome, str]:
        """Return what an outcome comes to by the target's `onDuplicate`, and what a person is told of that."""
        policy = target.on_duplicate
        own = is_our_own(item.received, item.delivery)
        step = settle(outcome, policy, own=own, follows=item.received.follows)
        sentence = ""
        try:
            if step is NextStep.COMPARE:
                found = await compare(self._client, target, item.parcel)
                step, sentence = compared(outcome, found.found, policy, found.status), found.message
            if step is NextStep.OVERWRITE:
                step, sentence = await self._overwrite(target, item)
        except CredentialFault as error:
            return AttemptOutcome(Verdict.PAUSE, error.reason), str(error)
        except Unreadable as error:
            return AttemptOutcome(Verdict.RETRY, error.reason), str(error)
        assert isinstance(step, AttemptOutcome)
        return step, sentence

    async def _overwrite(self, target: CloudTargetDestination, item: Item) -> tuple[AttemptOutcome, str]:
        """Replace what the target has of an instance's UID.

        A crash in between leaves the target without either: the delivery is still owed then, and made again.
        """
        try:
            if target.provider not in _UPSERTS:
                status = await self._delete(target, item)
                if status not in (200, 202, 204, 404, 410):
                    sentence = (
                        "the target does not delete its older instance: let the server overwrite by itself, or grant "
                        "permission to delete"
                    )
                    return AttemptOutcome(Verdict.RETRY, Reason.OVERWRITE_FAILED, status, is_own=True), sentence
            method = "PUT" if target.provider in _UPSERTS else "POST"
            answer, _, _ = await store(self._client, target, MultipartBody([item.parcel.file]), method)
        except TransportFailed as error:
            return AttemptOutcome(Verdict.RETRY, Reason.OVERWRITE_FAILED, is_own=True), str(error)
        (outcome,) = outcomes(answer, [item.parcel.sop_instance_uid], reading(target))
        return overwritten(outcome), f"{method} was answered with HTTP {answer.status}"

    async def _delete(self, target: CloudTargetDestination, item: Item) -> int | None:
        path = resources.instance(target, item.parcel)
        if path is None:
            return None
        async with self._client.request(target, "DELETE", path, {}) as response:
            return response.status


async def store(
    client: Client, target: CloudTargetDestination, body: Body, method: str = "POST"
) -> tuple[HTTPAnswer, float | None, float]:
    """Send instances to the target's studies resource.

    Return its answer, how many seconds it asks to wait before the next request, and how many it took to answer. The
    study is left out of the URL: the form with it adds nothing but a way to fail.

    Raises CredentialFault, TransportFailed.
    """
    headers = {"Accept": "application/dicom+json"}
    async with client.request(target, method, resources.studies(target), headers, body) as response:
        content = await response.read(_MAX_ANSWER_BYTES)
        wait_seconds = retry_after_seconds(response.headers.get("Retry-After"), time.time())
        answer = HTTPAnswer(response.status, response.headers.get("Content-Type", ""), content)
        return answer, wait_seconds, response.answer_seconds
