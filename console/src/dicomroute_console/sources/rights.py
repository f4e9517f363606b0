"""What RBAC has answered of late: each question is put to the API server once in thirty seconds."""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

GROUP: Final = "dicomroute.dev"
RIGHTS_SECONDS: Final = 30
_MOST_ANSWERS: Final = 10_000


class Rights:
    """Answers that still count, by who asks and for what. For one event loop."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[float, bool]] = {}

    async def allowed(
        self,
        who: Hashable,
        asked: tuple[str, str, str, str, str],
        review: Callable[[dict[str, str]], Awaitable[bool]],
    ) -> bool:
        """Return whether `who` may do what is asked: verb, resource, subresource, namespace, name.

        `review` puts the resource attributes of an access review to the API server, where no answer counts any more.
        """
        known = self._known.get((who, asked))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        verb, resource, subresource, namespace, name = asked
        allowed = await review(
            {
                "group": GROUP,
                "resource": resource,
                "subresource": subresource,
                "verb": verb,
                "namespace": namespace,
                "name": name,
            }
        )
        if len(self._known) >= _MOST_ANSWERS:
            self._known.clear()
        self._known[who, asked] = (time.monotonic() + RIGHTS_SECONDS, allowed)
        return allowed
