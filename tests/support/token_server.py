"""A token endpoint that keeps what it is sent, and plays what endpoints do: refuse, fail, be slow, or talk nonsense."""

import json
import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from web_server import Answer, Received, WebServer

Play = Callable[[Received], Answer]


def form_of(request: Received) -> dict[str, str]:
    """Return the form that a request carries."""
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def refusal(error: str, description: str = "", status: int = 400) -> Answer:
    """Return a refusal as RFC 6749 5.2 has it."""
    return Answer(status, json.dumps({"error": error, "error_description": description}).encode())


class TokenServer(WebServer):
    """Gives tokens token-1, token-2 and so on; `play` answers in its place, `gate` keeps it from answering."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.lifetime_seconds: Any = 3600
        self.play: Play | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.given: list[str] = []
        super().__init__(tls, host)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The forms of all requests for a token."""
        return [form_of(one) for one in self.received if one.method == "POST"]

    def answer(self, request: Received) -> Answer:
        self.gate.wait(30)
        if request.path.endswith("/.well-known/openid-configuration"):
            base = f"{self.url}/{request.path.split('/')[1]}"
            document = {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            }
            return Answer(body=json.dumps(document).encode())
        if self.play is not None:
            return self.play(request)
        return self.grant()

    def grant(self, **headers: str) -> Answer:
        """Return the answer that gives the next token."""
        with self._lock:
            self.given.append(f"token-{len(self.given) + 1}")
            document = {"access_token": self.given[-1], "token_type": "Bearer"}
        if self.lifetime_seconds is not None:
            document["expires_in"] = self.lifetime_seconds
        return Answer(body=json.dumps(document).encode(), headers=tuple(headers.items()))
