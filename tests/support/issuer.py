"""An issuer that says what a test wants it to say, over a real socket: where a real one cannot be made to lie."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey


class Issuer:
    """Publishes `keys`, counts how often it is asked for them, and answers a code with `answer`."""

    def __init__(self) -> None:
        self.keys = {name: RSAKey.generate_key(2048, {"kid": name}) for name in ("first", "second")}
        self.published = ["first"]
        self.asked = 0
        self.answer: dict[str, Any] = {}
        self.overrides: dict[str, Any] = {}
        self.url = ""

    def token(self, key: str = "first", **claims: Any) -> str:
        """Return a token that is good for an hour unless claims say otherwise; None takes a claim away."""
        now = int(time.time())
        said = {"iss": self.url, "aud": "console", "sub": "ada", "iat": now, "exp": now + 3600, **claims}
        return jwt.encode(
            {"alg": "RS256", "kid": key}, {name: one for name, one in said.items() if one is not None}, self.keys[key]
        )

    def document(self, path: str) -> dict[str, Any]:
        """Return what is at a path."""
        if path == "/keys":
            self.asked += 1
            return {"keys": [self.keys[one].as_dict(private=False) for one in self.published]}
        if path == "/token":
            return self.answer
        endpoints = {name: f"{self.url}/{name}" for name in ("authorization_endpoint", "end_session_endpoint")}
        places = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "token_endpoint": f"{self.url}/token"}
        return {**places, **endpoints, **self.overrides}


@contextmanager
def issuing() -> Iterator[tuple[Issuer, ThreadingHTTPServer]]:
    """Serve an issuer on a port of this machine."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(issuer.document(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer, server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
