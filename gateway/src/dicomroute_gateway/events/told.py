"""An event as it is written down. Pure."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dicomroute_client.documents.document import Document
from dicomroute_client.documents.events import MOST_TITLE_CHARACTERS, EventDocument, EventType

_UID: Final = re.compile(r"[0-9.]{1,64}")
_ID_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Told:
    """An event: its id, the name of its type, and its JSON text."""

    id: str
    name: str
    document: str


@dataclass(frozen=True, slots=True)
class Teller:
    """Who tells: `source` is a URI reference (CloudEvents 1.0, 3.1)."""

    source: str

    def tell(self, kind: EventType, data: Document, subject: str, time: float, *identity: object) -> Told:
        """Return an event of a time in seconds since 1970; `identity` is what makes it this one."""
        event = EventDocument(
            id=event_id(kind.name, *identity),
            source=self.source,
            type=kind.full_name,
            subject=subject,
            time=moment(time),
            data=data.model_dump(mode="json", by_alias=True),
        )
        return Told(event.id, kind.name, event.model_dump_json(by_alias=True))


def source_of(namespace: str, route: str, host: str) -> str:
    """Return the source of a gateway's events."""
    return f"/namespaces/{namespace}/dicomroutes/{route}/gateways/{host}"


def event_id(*identity: object) -> str:
    """Return the id of what makes an event this one: equal for equal, whenever and however often it is made."""
    text = "\0".join(str(one) for one in identity)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_ID_CHARACTERS]


def moment(seconds: float) -> datetime:
    """Return a time in seconds since 1970, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def uid(text: str) -> str:
    """Return a UID, "" for what is none: whoever sends chooses what stands there (PS3.5 9)."""
    return text if _UID.fullmatch(text) else ""


def title(text: str | None) -> str | None:
    """Return an AE title, None for what is none: it may hold any bytes."""
    if text is None or not 0 < len(text) <= MOST_TITLE_CHARACTERS or not text.isascii() or not text.isprintable():
        return None
    return text
