"""A row of the table: what a peer sends, what it is answered, and where the standard says so."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdus import (
    CT,
    EXPLICIT,
    LAST,
    associate_request,
    command_set,
    context,
    data_set,
    message,
    p_data,
    pdv,
    store_values,
)
from peer import Answer, Answered, Instance, Peer, new_uid

if TYPE_CHECKING:
    from .encrypted import Encrypted


@dataclass(frozen=True)
class Stored:
    """Status 0000H, and the archive gets every byte of the data set as it came."""

    def __str__(self) -> str:
        return "status 0000H; the archive gets it byte for byte"


@dataclass(frozen=True)
class Held:
    """Status 0000H, and the instance is held, because a rule that reads the attribute has no answer."""

    def __str__(self) -> str:
        return "status 0000H; kept, and held with RuleError where a rule reads it"


@dataclass(frozen=True)
class Served:
    """What the peer sends next is answered as ever."""

    def __str__(self) -> str:
        return "what follows is answered as ever"


@dataclass(frozen=True)
class Gone:
    """The peer has gone, so that nothing can be answered."""

    def __str__(self) -> str:
        return "nobody is left to answer"


Expected = Answer | Stored | Held | Served | Gone


class Port:
    """The gateway's port, and every peer that has connected to it.

    `associations` returns how many associations stand, as the gateway's status says. `encrypted` has the port that
    wants TLS, and certificates for it.
    """

    def __init__(self, number: int, associations: Callable[[], int], encrypted: "Encrypted | None" = None) -> None:
        self.number = number
        self.associations = associations
        self.encrypted = encrypted
        self._peers: list[Peer] = []

    def connect(self, receive_buffer_bytes: int | None = None) -> Peer:
        self._peers.append(Peer(self.number, receive_buffer_bytes))
        return self._peers[-1]

    def bare(self) -> Peer:
        """Return a peer without TLS at the port that wants it."""
        assert self.encrypted is not None
        self._peers.append(Peer(self.encrypted.port))
        return self._peers[-1]

    def secure(self, context: ssl.SSLContext) -> Peer:
        """Return a peer that speaks TLS. Raises OSError where none comes about."""
        assert self.encrypted is not None
        self._peers.append(Peer(self.encrypted.port, context=context))
        return self._peers[-1]

    def associated(self, *contexts: bytes, maximum: int = 0) -> Peer:
        """Return a peer with an association."""
        return self.connect().associated(*contexts, maximum=maximum)

    def receiving(self) -> Peer:
        """Return a peer whose C-STORE the gateway is in the midst of receiving."""
        uid = new_uid()
        begun = p_data(pdv(1, 0, data_set(uid)[:100]))
        return self.associated().send(message(1, command_set(store_values(uid)))).send(begun)

    @property
    def instances(self) -> list[Instance]:
        """What was sent whole."""
        return [one for peer in self._peers for one in peer.instances]

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


Play = Callable[[Port], Expected]


@dataclass(frozen=True)
class Row:
    """`number` is the entry of the catalogue that the row belongs to."""

    number: int
    sends: str
    expected: Expected
    standard: str
    play: Play

    def __str__(self) -> str:
        return f"{self.number}: {self.sends}"

    def is_met_by(self, answer: Expected) -> bool:
        """Return whether this is the answer on the wire."""
        wanted = Answered(0) if isinstance(self.expected, Stored | Held) else self.expected
        return answer == wanted


def connected(data: bytes) -> Play:
    """Send bytes as the first ones of a connection."""
    return lambda port: port.connect().send(data).answer()


def requested(*items: bytes, **fields: bytes | int) -> Play:
    """Send an A-ASSOCIATE-RQ of these items."""
    return connected(associate_request(*items, **fields))  # type: ignore[arg-type]


def associated(data: bytes) -> Play:
    """Send bytes on an association between two messages."""
    return lambda port: port.associated().send(data).answer()


def receiving(data: bytes) -> Play:
    """Send bytes in the midst of a data set."""
    return lambda port: port.receiving().send(data).answer()


def served_after(data: bytes) -> Play:
    """Send bytes on an association, and then what a healthy peer sends."""
    return lambda port: served(port.associated().send(data))


def served(peer: Peer) -> Expected:
    """Return Served when C-ECHO and C-STORE of this peer are answered with success."""
    for ask in (peer.echo, peer.store_one):
        answer = ask()
        if answer != Answered(0):
            return answer
    return Served()


def stored(
    make: Callable[[str], bytes],
    syntax: str = EXPLICIT,
    sop_class: str = CT,
    *,
    changes: Mapping[int, bytes | None] | None = None,
) -> Play:
    """Send the data set that `make` returns for a SOP Instance UID; `changes` are of its command set."""

    def play(port: Port) -> Answer:
        uid = new_uid()
        data = make(uid)
        return port.associated(context(1, sop_class, syntax)).store(data, uid, changes)

    return play


def named(uid: str) -> Play:
    """Send an instance of this SOP Instance UID, in the command set and in the data set."""
    return lambda port: port.associated().store(data_set(uid), uid)


def commanded(command: bytes, context_id: int = 1, data: bytes | None = None) -> Play:
    """Send a message of this command set on an association."""
    return associated(message(context_id, command, data))


def ended(leave: Callable[[Port], None]) -> Play:
    """Connect, do something, and leave in a way that cannot be answered."""

    def play(port: Port) -> Expected:
        leave(port)
        return Gone()

    return play


def fragments(*pieces: bytes, context_id: int = 1, flags: int = 0) -> bytes:
    """Return pieces of a data set as P-DATA-TFs, the last of them marked as the last."""
    return b"".join(
        p_data(pdv(context_id, flags | (LAST if number == len(pieces) else 0), piece))
        for number, piece in enumerate(pieces, 1)
    )
