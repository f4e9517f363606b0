"""The reasons of a DicomNode's own conditions: what the gateways of the routes that deliver to it found."""

from .reason import Reason


class NodeReachable(Reason):
    """The node accepts associations from the gateways that deliver to it, and answers a C-ECHO.

    If several routes use it, the worst result is shown; `status.connectionTests` has all.
    """

    REACHABLE = ("Reachable", "The node answers a C-ECHO or accepts deliveries.")
    VERIFICATION_NOT_ACCEPTED = (
        "VerificationNotAccepted",
        "The condition is True: the node accepts an association, but does not offer C-ECHO.",
    )
    NOT_USED = (
        "NotUsed",
        "No running route delivers to this node, so no gateway tests it. Run `dicomroute test node NAME` to test it "
        "from your machine.",
    )
    NOT_TESTED = ("NotTested", "No gateway has tested the node yet, or connectionTestSeconds is 0.")
    STATUS_STALE = ("StatusStale", "The gateway that delivers to the node could not be asked for 30 seconds.")
    DNS_FAILED = ("DNSFailed", "The host name cannot be resolved. Correct spec.host, or fix the DNS of the pods.")
    CONNECTION_REFUSED = (
        "ConnectionRefused",
        "The port is closed. Start the node, or correct spec.host and spec.port.",
    )
    CONNECT_TIMED_OUT = (
        "ConnectTimedOut",
        "The connection attempt gets no answer. Check the node's address, firewalls and the NetworkPolicy.",
    )
    CONNECTION_FAILED = (
        "ConnectionFailed",
        "The connection to the node fails. The message contains the system's error.",
    )
    CONNECTION_LOST = ("ConnectionLost", "The node closed the connection without an answer. Its log says why.")
    CERTIFICATE_UNUSABLE = (
        "CertificateUnusable",
        "A Secret or ConfigMap in spec.tls is missing, or does not contain a certificate with its key. The message "
        "names it.",
    )
    TLS_UNTRUSTED = (
        "TLSUntrusted",
        "The node's certificate is signed by an authority that is not in spec.tls.caBundleRef. Add the authority.",
    )
    TLS_NAME_MISMATCH = (
        "TLSNameMismatch",
        "The node's certificate is for another name than spec.host. Set spec.tls.serverName to the name in the "
        "certificate.",
    )
    TLS_EXPIRED = ("TLSExpired", "The node's certificate has expired. Renew it on the node.")
    TLS_NOT_YET_VALID = ("TLSNotYetValid", "The node's certificate is not valid yet. Check the clocks.")
    TLS_CLIENT_CERTIFICATE_REQUIRED = (
        "TLSClientCertificateRequired",
        "The node requires a client certificate, or another one. Set spec.tls.clientCertificateRef.",
    )
    TLS_TIMED_OUT = ("TLSTimedOut", "The node does not finish the TLS handshake. Check that this port uses TLS.")
    TLS_FAILED = ("TLSFailed", "The TLS handshake fails. The message says why. Check that this port uses TLS.")
    CALLING_AE_TITLE = (
        "CallingAETitleNotRecognized",
        "The node does not know the gateway's calling AE title. Add it on the node, or set callingAETitle in the "
        "route.",
    )
    CALLED_AE_TITLE = ("CalledAETitleNotRecognized", "The node has another AE title. Correct spec.aeTitle.")
    ASSOCIATION_REJECTED = (
        "AssociationRejected",
        "The node rejects the association without a reason. Its log says why.",
    )
    APPLICATION_CONTEXT = (
        "ApplicationContextNotSupported",
        "The server at this address does not speak DICOM. Correct spec.host and spec.port.",
    )
    PROTOCOL_VERSION = (
        "ProtocolVersionNotSupported",
        "The node uses another version of the DICOM upper layer protocol.",
    )
    TEMPORARY_CONGESTION = (
        "TemporaryCongestion",
        "The node is congested. The gateway tests it again. The node's log says why.",
    )
    LOCAL_LIMIT_EXCEEDED = ("LocalLimitExceeded", "The node has reached its limit of associations. Raise that limit.")
    ASSOCIATION_TIMED_OUT = (
        "AssociationTimedOut",
        "The node accepts the connection, but does not answer. Check that it runs, and how many associations it has "
        "open.",
    )
    ABORTED_BY_PEER = ("AbortedByPeer", "The node aborted the association. Its log says why.")
    RELEASED_BY_PEER = ("ReleasedByPeer", "The node released the association before it answered. Its log says why.")
    RESPONSE_TIMED_OUT = ("ResponseTimedOut", "The node accepts the association, but does not answer a C-ECHO in time.")
    SEND_STALLED = ("SendStalled", "The node accepts the association, but does not read the C-ECHO.")
    ECHO_FAILED = ("EchoFailed", "The node answers a C-ECHO with a failure. The message contains its status.")
    PROTOCOL_VIOLATION = ("ProtocolViolation", "The node's answer violates the DICOM standard. The message says how.")
    UNEXPECTED_RESPONSE = ("UnexpectedResponse", "The node's answer does not match the request.")

    @classmethod
    def declared_type(cls) -> str:
        """Return the type of the condition that carries these reasons: that of a target is another list."""
        return "Reachable"
