"""A reader of a gateway's feed of events, as a program of others would be: HTTP and the documents, nothing of ours."""

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifests import Json

TOKEN = "an-example-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Reader:
    """Reads page after page at the admin API of one gateway; `events` are all that came."""

    admin: str
    cursor: str = ""
    events: list[Json] = field(default_factory=list)

    def page(self, wait: int = 0, **query: object) -> Json:
        """Return one answer, and go on behind it. Raises HTTPError."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        after = f"&after={self.cursor}" if self.cursor else ""
        request = urllib.request.Request(
            f"http://{self.admin}/api/v1/events?wait={wait}{after}{'&' if words else ''}{words}", headers=HEADERS
        )
        with urllib.request.urlopen(request, timeout=90) as response:
            document: Json = json.loads(response.read())
        self.cursor = document["cursor"]
        self.events += document["events"]
        return document

    def read(self) -> list[Json]:
        """Read all that there is; return what came."""
        before = len(self.events)
        try:
            while self.page()["more"]:
                pass
        except urllib.error.HTTPError as error:
            if error.code != 503:  # being opened
                raise
        except OSError:  # it starts
            pass
        return self.events[before:]

    def named(self, name: str) -> list[Json]:
        """Return the events of a type among those that came."""
        return [one for one in self.events if one["type"] == f"dev.dicomroute.{name}.v1"]

    def data(self, name: str) -> list[Json]:
        return [one["data"] for one in self.named(name)]


class Stream:
    """Server-sent events, parsed as HTML 9.2.6 says."""

    def __init__(self, admin: str, last_event_id: str = "", query: str = "", receive_buffer: int = 0) -> None:
        host, _, port = admin.partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)
        self._connection.connect()
        if receive_buffer:
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        headers = {**HEADERS, "Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        self._connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.last_event_id = last_event_id
        self._response: http.client.HTTPResponse | None = None

    def open(self) -> int:
        """Return the status of the answer."""
        self._response = self._connection.getresponse()
        return self._response.status

    def messages(self) -> Iterator[Json]:
        """Yield events until the stream ends."""
        if self._response is None:
            assert self.open() == 200
        assert self._response is not None
        data: list[str] = []
        while line := self._response.readline().decode():
            line = line.rstrip("\n")
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line and data:
                yield json.loads("\n".join(data))
                data = []
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last_event_id = value

    def close(self) -> None:
        self._connection.close()
