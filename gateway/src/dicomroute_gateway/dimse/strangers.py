"""What a connection is that does not begin as an association does, told from its first bytes. Pure."""

from enum import Enum
from typing import Final

_HTTP: Final = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"DELE", b"PATC", b"TRAC", b"PRI ")
_PROXY: Final = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT")
_TLS_HANDSHAKE: Final = b"\x16\x03"
_MLLP_START: Final = b"\x0b"
_ASSOCIATE_RQ: Final = b"\x01"


class Stranger(Enum):
    """A name for logs and lists, and what a person is told of it."""

    TLS = ("TLSHello", "a TLS handshake: the device uses TLS, but this port does not")
    HTTP = ("HTTPRequest", "an HTTP request: a browser, a probe or a DICOMweb client on a DIMSE port")
    HL7 = ("HL7Message", "an HL7 message (MLLP): an interface engine on a DIMSE port")
    SSH = ("SSHClient", "an SSH client")
    PROXY = ("ProxyProtocol", "the PROXY protocol of a load balancer: disable it there")
    MALFORMED = ("MalformedRequest", "an A-ASSOCIATE-RQ that violates PS3.8")
    INCOMPLETE = ("IncompleteRequest", "the beginning of a request, without its rest")
    UNKNOWN = ("NotDICOM", "neither an A-ASSOCIATE-RQ nor any other known protocol")

    @property
    def label(self) -> str:
        """The name of it."""
        return self.value[0]

    @property
    def looks_like(self) -> str:
        """What a person is told of it."""
        return self.value[1]


def recognize(opening: bytes) -> Stranger:
    """Return what a connection looks like that begins with these bytes."""
    for stranger, beginnings in (
        (Stranger.TLS, (_TLS_HANDSHAKE,)),
        (Stranger.HTTP, _HTTP),
        (Stranger.HL7, (_MLLP_START,)),
        (Stranger.SSH, (b"SSH-",)),
        (Stranger.PROXY, _PROXY),
        (Stranger.MALFORMED, (_ASSOCIATE_RQ,)),
    ):
        if opening.startswith(beginnings):
            return stranger
    return Stranger.UNKNOWN
