"""The reasons of a DicomNode's own conditions: what the gateways of the routes that deliver to it found."""

from .reason import Reason


class NodeReachable(Reason):
    """The node associates with the gateways of the routes that deliver to it, and answers a C-ECHO.

    Of several routes the worst is shown; `status.connectionTests` has all.
    """

    REACHABLE = ("Reachable", "It answers a C-ECHO, or takes what is delivered.")
    VERIFICATION_NOT_ACCEPTED = (
        "VerificationNotAccepted",
        "True all the same: it associates with us, and takes no C-ECHO.",
    )
    NOT_USED = (
        "NotUsed",
        "No route that runs delivers to it, so that nothing tests it: `dicomroute test node NAME` does, from your "
        "machine.",
    )
    NOT_TESTED = ("NotTested", "No gateway has tested it yet, or connectionTestSeconds is 0.")
    STATUS_STALE = ("StatusStale", "The gateway that delivers to it could not be asked for 30 seconds.")
    DNS_FAILED = ("DNSFailed", "Its host has no address: correct spec.host, or fix the pods' name server.")
    CONNECTION_REFUSED = (
        "ConnectionRefused",
        "Nothing listens on that port: start the node, or correct spec.host and spec.port.",
    )
    CONNECT_TIMED_OUT = (
        "ConnectTimedOut",
        "The connection is not answered: look at the node's address, at firewalls, and at the NetworkPolicy.",
    )
    CONNECTION_FAILED = ("ConnectionFailed", "There is no way to the node: the message has the system's word for it.")
    CONNECTION_LOST = ("ConnectionLost", "The node ended the connection without an answer: its log says why.")
    CERTIFICATE_UNUSABLE = (
        "CertificateUnusable",
        "A Secret or ConfigMap of spec.tls is missing, or is no certificate with its key: the message names it.",
    )
    TLS_UNTRUSTED = ("TLSUntrusted", "Its certificate is of an authority that spec.tls.caBundleRef does not have.")
    TLS_NAME_MISMATCH = (
        "TLSNameMismatch",
        "Its certificate is for another name than spec.host: say that name in spec.tls.serverName.",
    )
    TLS_EXPIRED = ("TLSExpired", "Its certificate has expired: have it renewed at the node.")
    TLS_NOT_YET_VALID = ("TLSNotYetValid", "Its certificate is not valid yet: look at the clocks.")
    TLS_CLIENT_CERTIFICATE_REQUIRED = (
        "TLSClientCertificateRequired",
        "It wants a client certificate, or another one: spec.tls.clientCertificateRef.",
    )
    TLS_TIMED_OUT = ("TLSTimedOut", "It does not finish the TLS handshake: look whether that port has TLS.")
    TLS_FAILED = ("TLSFailed", "No TLS comes about, as the message says: look whether that port has TLS.")
    CALLING_AE_TITLE = (
        "CallingAETitleNotRecognized",
        "It does not know the title that it is called with: enter that there, or set callingAETitle in the route.",
    )
    CALLED_AE_TITLE = ("CalledAETitleNotRecognized", "It has another AE title: correct spec.aeTitle.")
    ASSOCIATION_REJECTED = ("AssociationRejected", "It rejects the association and says not why: its log does.")
    APPLICATION_CONTEXT = ("ApplicationContextNotSupported", "What answers there does not speak DICOM.")
    PROTOCOL_VERSION = ("ProtocolVersionNotSupported", "It speaks another version of the upper layer protocol.")
    TEMPORARY_CONGESTION = ("TemporaryCongestion", "It is congested, and is tested again: its log says why.")
    LOCAL_LIMIT_EXCEEDED = ("LocalLimitExceeded", "It has as many associations as it allows: raise its limit.")
    ASSOCIATION_TIMED_OUT = (
        "AssociationTimedOut",
        "It takes the connection and does not answer: look whether it runs, and how many associations it serves.",
    )
    ABORTED_BY_PEER = ("AbortedByPeer", "It aborted the association: its log says why.")
    RELEASED_BY_PEER = ("ReleasedByPeer", "It released the association before it answered: its log says why.")
    RESPONSE_TIMED_OUT = ("ResponseTimedOut", "It associates, and does not answer a C-ECHO in time.")
    SEND_STALLED = ("SendStalled", "It associates, and takes no byte of a C-ECHO.")
    ECHO_FAILED = ("EchoFailed", "It answers a C-ECHO with a failure: the message has its status.")
    PROTOCOL_VIOLATION = ("ProtocolViolation", "It answers against the standard: the message says how.")
    UNEXPECTED_RESPONSE = ("UnexpectedResponse", "It answers something else than it was asked.")

    @classmethod
    def declared_type(cls) -> str:
        """Return the type of the condition that carries these reasons: that of a target is another list."""
        return "Reachable"
