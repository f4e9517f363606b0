"""A client that waits for its answers, for programs without an event loop."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from .calls import Answer, Call, D, headers, sentence_of
from .documents.events import EventDocument
from .errors import AdminError, Refused, Unreachable, Unreadable
from .following import Position

_TIMEOUT_SECONDS: Final = 60


class AdminClient:
    """The admin API at a base URL, such as https://127.0.0.1:8443."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says which certificate the gateway has."""
        self.url = url
        self._token = token
        handlers = [urllib.request.HTTPSHandler(context=tls)] if tls is not None else []
        # Neither a proxy of the environment nor whoever a redirect names is to be sent the token.
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects(), *handlers)

    def ask(self, call: Call[D], actor: str = "") -> Answer[D]:
        """Make a call; `actor` says who decides, where it decides something. Raises AdminError."""
        return call.read(self._text(call, actor))

    def _text(self, call: Call[Any], actor: str) -> bytes:
        request = urllib.request.Request(  # noqa: S310  the URL is the caller's own
            f"{self.url}{call.target}",
            method=call.method,
            data=call.payload,
            headers=headers(call, self._token, actor),
        )
        try:
            with self._direct.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            said = sentence_of(error.read())
            raise Refused(error.code, said or f"HTTP {error.code} {error.reason}") from error
        except ValueError as error:
            raise Unreadable(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(getattr(error, "reason", error))) from error


class EventFollower:
    """The events of a gateway, on and on: an iterator that ends with an error alone. It comes back after failures."""

    def __init__(
        self,
        client: AdminClient,
        cursor: str = "",
        types: Iterable[str] = (),
        *,
        sleep: Callable[[float], object] = time.sleep,
        failed: Callable[[AdminError, float], object] = lambda _error, _seconds: None,
    ) -> None:
        """`failed` is told of each failure that may pass, and in how many seconds it is asked again."""
        self._client = client
        self._position = Position(cursor, tuple(types))
        self._sleep = sleep
        self._failed = failed

    @property
    def cursor(self) -> str:
        """Behind the last page that was wholly handled."""
        return self._position.cursor

    def __iter__(self) -> Iterator[EventDocument]:
        """Yield events. Raises TooOld, and AdminError where asking again would not help."""
        while True:
            try:
                page = self._client.ask(self._position.call()).document
            except AdminError as error:
                pause = self._position.pause_seconds(error)
                self._failed(error, pause)
                self._sleep(pause)
                continue
            self._position.answered()
            yield from page.events
            self._position.took(page)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: the answer itself is the error."""
