"""The requestor's end of a connection: PDUs in and out, and how an association ends (PS3.8 section 9.2)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dicomroute_gateway.reasons import Reason

from .command import CommandError
from .failures import (
    AssociationAborted,
    AssociationReleased,
    ConnectionLost,
    Interrupted,
    NotConnected,
    PeerViolation,
    RequestorFailure,
    TimedOut,
)
from .items import MAX_ASSOCIATE_BYTES, invalid
from .stream import (
    AbortReason,
    PDUStream,
    PDUType,
    ProtocolViolation,
    encode_abort,
    encode_pdu,
    send_all,
)
from .wire import PeerGone, PeerStalled, Wire

RECEIVED_PDU_BYTES: Final = 16_384
"""The longest P-DATA-TF that a requestor takes: it gets responses alone."""
_USER: Final = 0
_PROVIDER: Final = 2
_NO_DESCRIPTOR: Final = -1
_CLOSE_TIMEOUT_SECONDS: Final = 1.0
_FIXED_BODY_BYTES: Final = 4
"""The length of all PDUs but A-ASSOCIATE-RQ, A-ASSOCIATE-AC and P-DATA-TF (PS3.8 tables 9-21 and 9-24 to 9-26)."""
_MOST_BODY_BYTES: Final = {PDUType.ASSOCIATE_AC: MAX_ASSOCIATE_BYTES, PDUType.P_DATA_TF: RECEIVED_PDU_BYTES}


class UpperLayer:
    """A connection to an acceptor. `during` says what goes on, for the sentences of failures."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.during = "in place of an answer to the A-ASSOCIATE-RQ"
        self.is_open = True
        self.is_sending = False
        """Whether a message is cut off where it is: what is written now would be taken for a part of it."""
        self._stream = PDUStream(wire, _NO_DESCRIPTOR, lambda: None)
        self._is_interrupted = False

    @contextmanager
    def exchange(self, timed_out: Reason, what: str) -> Iterator[None]:
        """Turn what ends the association into a failure, and end it as the standard wants.

        `timed_out` and `what` are the reason and the sentence when the peer does not do its part in time.
        """
        try:
            yield
        except PeerGone as error:
            raise self._last_words(error) from error
        except PeerStalled as error:
            self.abort()
            raise TimedOut(timed_out, f"the peer {what}: check its log and its load") from error
        except (ProtocolViolation, CommandError) as error:  # AA-8 (PS3.8 table 9-10)
            reason = error.reason if isinstance(error, ProtocolViolation) else AbortReason.INVALID_PARAMETER
            self.abort(_PROVIDER, reason)
            raise PeerViolation(f"the peer violates the protocol {self.during}: {error}") from error
        except (AssociationAborted, AssociationReleased):
            self.close()
            raise
        except BaseException:
            self.abort()
            raise

    def receive(self, deadline: float) -> tuple[int, bytes]:
        """Return type and body of the next PDU, which is to be there by `deadline` on the monotonic clock.

        Raises AssociationAborted, AssociationReleased for an end that the peer announces; PeerGone, PeerStalled,
        ProtocolViolation.
        """
        kind, body = self._read(deadline)
        if kind == PDUType.ABORT:
            raise AssociationAborted(body[2], body[3], self.during)
        if kind == PDUType.RELEASE_RQ:
            if not self.is_sending:
                self.write(encode_pdu(PDUType.RELEASE_RP, bytes(4)), _CLOSE_TIMEOUT_SECONDS)
                self._stream.wait_closed(_CLOSE_TIMEOUT_SECONDS)
            raise AssociationReleased(self.during)
        return kind, body

    def hears(self, seconds: float) -> bool:
        """Wait so long for the peer to say something; return whether it does. Raises PeerGone."""
        return bool(self._stream.buffered or self.wire.wait_to_receive(seconds))

    def hear_farewell(self) -> None:
        """Raise what the peer has said since its last response: there is nothing but an end that it may say."""
        if self._stream.buffered or self.wire.has_spoken():
            kind, _ = self.receive(time.monotonic() + _CLOSE_TIMEOUT_SECONDS)
            raise self.unexpected(kind)

    def unexpected(self, kind: int) -> ProtocolViolation:
        """Return the violation for a PDU that has no place here."""
        return ProtocolViolation(AbortReason.UNEXPECTED_PDU, f"it sent a PDU of type {kind:02X}")

    def write(self, data: bytes, timeout_seconds: float) -> None:
        """Write something short. Raises PeerGone, PeerStalled."""
        send_all(self.wire, data, timeout_seconds)

    def release(self, timeout_seconds: float) -> bool:
        """Release the association and close; return whether the peer agreed. Never raises for what a peer does."""
        deadline = time.monotonic() + timeout_seconds
        try:
            self.write(encode_pdu(PDUType.RELEASE_RQ, bytes(4)), timeout_seconds)
            while True:
                kind, _ = self._read(deadline)
                if kind in (PDUType.RELEASE_RP, PDUType.ABORT):
                    return kind == PDUType.RELEASE_RP
                if kind == PDUType.RELEASE_RQ:  # both at once: the requestor answers first (AR-8 and AR-9)
                    self.write(encode_pdu(PDUType.RELEASE_RP, bytes(4)), timeout_seconds)
                elif kind != PDUType.P_DATA_TF:  # which may still be on its way (AR-6)
                    raise self.unexpected(kind)
        except (PeerGone, PeerStalled, ProtocolViolation):
            self.abort()
            return False
        finally:
            self.close()

    def abort(self, source: int = _USER, reason: AbortReason = AbortReason.NOT_SPECIFIED) -> None:
        """Abort the association and close. Never raises for what a peer does."""
        if not self.is_open:
            return
        try:
            if not self.is_sending:
                self.write(encode_abort(source, reason), 0)
                self._stream.wait_closed(_CLOSE_TIMEOUT_SECONDS)
        except (PeerGone, PeerStalled):
            pass
        finally:
            self.close()

    def interrupt(self) -> None:
        """End the connection from another thread: what waits on it raises Interrupted."""
        self._is_interrupted = True
        self.wire.shut_down()

    def close(self) -> None:
        """Close the connection; a message that is cut off is not sent any further."""
        self.is_open = False
        self.wire.close(at_once=self.is_sending)
        self.is_sending = False

    def _last_words(self, gone: PeerGone) -> RequestorFailure:
        """Return why the connection is gone: what was received before its end may say it."""
        last = gone
        try:
            if not gone.reason:
                self.receive(time.monotonic())
        except RequestorFailure as failure:
            return failure
        except PeerGone as error:  # of TLS 1.3, which tells behind the handshake that it wants a certificate
            last = error
        except (PeerStalled, ProtocolViolation):
            pass
        finally:
            self.close()
        if last.reason:
            return NotConnected(last.reason, str(last))
        return Interrupted() if self._is_interrupted else ConnectionLost(self.during)

    def _read(self, deadline: float) -> tuple[int, bytes]:
        kind, length = self._stream.read_header(max(0.0, deadline - time.monotonic()), may_drain=False)
        if kind not in set(PDUType):
            raise ProtocolViolation(AbortReason.UNRECOGNIZED_PDU, f"it sent a PDU of type {kind:02X}")
        most = _MOST_BODY_BYTES.get(PDUType(kind), _FIXED_BODY_BYTES)
        says_something = most == _FIXED_BODY_BYTES and kind not in (PDUType.RELEASE_RQ, PDUType.RELEASE_RP)
        if length > most or (length < most and says_something):
            raise invalid(f"it sent a PDU of type {kind:02X} and {length} bytes")
        return kind, self._stream.read_body(length, deadline)
