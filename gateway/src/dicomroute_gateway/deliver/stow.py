"""STOW-RS to a CloudTarget: the request, and what is made of its answer (PS3.18 10.5)."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.model import CloudTargetDestination

from .attempt import unreadable
from .backoff import retry_after_seconds
from .http import Body, Client, CredentialMissing, TransportFailed
from .multipart import MultipartBody
from .outcome import Answer, Outcome, Verdict, outcomes
from .throttle import Throttle, Throttled
from .transport import Item, Limits, Sent

_MAX_ANSWER_BYTES: Final = 1 << 20


class StowTransport:
    """Carries instances to a CloudTarget. `target` returns it as it is configured at the moment, if it is."""

    limits = Limits(lanes=8, most_lanes=32, batch_instances=10, batch_bytes=32 << 20)

    def __init__(self, target: Callable[[], CloudTargetDestination | None], secrets: Path, throttle: Throttle) -> None:
        self._target = target
        self._client = Client(secrets)
        self._throttle = throttle

    async def send(self, items: Sequence[Item]) -> AsyncGenerator[Sent]:
        """Store `items` by one request; its answer speaks of all."""
        yield await self._store(items)

    async def _store(self, items: Sequence[Item]) -> Sent:
        target = self._target()
        if target is None:
            return Sent([Outcome(Verdict.RETRY, "NoSuchDestination")] * len(items), "")
        body = MultipartBody([item.part for item in items])
        try:
            answer, wait_seconds, answer_seconds = await store(self._client, target, Throttled(body, self._throttle))
        except CredentialMissing as error:
            return Sent([Outcome(Verdict.PAUSE, "SecretMissing")] * len(items), str(error))
        except TransportFailed as error:
            if body.fault is not None:
                index, fault = body.fault
                deliveries = [item.delivery for item in items]
                return Sent(unreadable(deliveries, {index: fault.reason}, "ConnectionLost"), str(fault))
            return Sent([Outcome(Verdict.RETRY, error.reason)] * len(items), str(error))
        uids = [item.received.sop_instance_uid for item in items]
        return Sent(outcomes(answer, uids), f"HTTP {answer.status}", wait_seconds, answer_seconds)

    async def close(self) -> None:
        """Close connections that are kept."""
        await self._client.close()


async def store(client: Client, target: CloudTargetDestination, body: Body) -> tuple[Answer, float | None, float]:
    """Send instances to the target's studies resource.

    Return its answer, how many seconds it asks to wait before the next request, and how many it took to answer. The
    study is left out of the URL: the form with it adds nothing but a way to fail.

    Raises CredentialMissing, TransportFailed.
    """
    headers = {"Accept": "application/dicom+json"}
    async with client.request(target, "POST", "/studies", headers, body) as response:
        content = await response.read(_MAX_ANSWER_BYTES)
        wait_seconds = retry_after_seconds(response.headers.get("Retry-After"), time.time())
        answer = Answer(response.status, response.headers.get("Content-Type", ""), content)
        return answer, wait_seconds, response.answer_seconds
