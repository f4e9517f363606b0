"""The reasons of a CloudTarget's own conditions: what the gateways of the routes that use it found."""

from .reason import Reason


class Reachable(Reason):
    """The target answers the gateways of the routes that use it; of several the worst is shown."""

    REACHABLE = ("Reachable", "Every gateway that uses it gets an answer.")
    NOT_USED = (
        "NotUsed",
        "No route that runs uses it, so that nothing tests it: `dicomroute test target NAME` does, from your machine.",
    )
    NOT_TESTED = ("NotTested", "No gateway has tested it yet, or what comes before it failed: the message says what.")
    STATUS_STALE = ("StatusStale", "The gateway that uses it could not be asked for 30 seconds.")
    URL_INVALID = ("URLInvalid", "Nothing can be connected to by this URL: correct spec.url.")
    DNS_FAILED = ("DNSFailed", "The host in spec.url has no address: correct it, or mend the pods' name server.")
    CONNECTION_FAILED = (
        "ConnectionFailed",
        "The connection is refused, or there is no way there: start the server, or open the firewall or the "
        "NetworkPolicy to it.",
    )
    CONNECTION_LOST = ("ConnectionLost", "The connection ended before an answer: the server's log says why.")
    TIMED_OUT = ("TimedOut", "No answer in time: start the server, or open the firewall that drops what is sent.")
    TLS_UNTRUSTED = (
        "TLSUntrusted",
        "The certificate is of an authority that nobody named: name it in spec.tls.caBundleRef.",
    )
    TLS_NAME_MISMATCH = (
        "TLSNameMismatch",
        "The certificate is for another host: use its name in spec.url, or have another issued.",
    )
    TLS_EXPIRED = ("TLSExpired", "The server's certificate is not valid today: have it renewed.")
    TLS_VERSION_UNSUPPORTED = ("TLSVersionUnsupported", "The server has nothing newer than TLS 1.1: enable TLS 1.2.")
    TLS_CLIENT_CERTIFICATE_REQUIRED = (
        "TLSClientCertificateRequired",
        "The server wants a client certificate, or another one: spec.tls.clientCertificateRef.",
    )
    TLS_FAILED = ("TLSFailed", "The handshake failed, as the message says; a port that speaks no TLS wants http://.")
    PROXY_UNREACHABLE = ("ProxyUnreachable", "The proxy does not answer: correct spec.proxy.url.")
    PROXY_REFUSED = ("ProxyRefused", "The proxy makes no tunnel to the target: let it, or use spec.proxy.noProxy.")
    PROXY_AUTHENTICATION_REQUIRED = (
        "ProxyAuthenticationRequired",
        "The proxy wants a user name and a password, or others: spec.proxy.basic.",
    )


class Authenticated(Reason):
    """The target knows the credential, or asks for none."""

    AUTHENTICATED = ("Authenticated", "It knows the credential, or asks for none.")
    NOT_USED = ("NotUsed", "No route that runs uses it.")
    NOT_TESTED = ("NotTested", "The credential could not be shown to the target yet: see Reachable.")
    NOT_PROVEN = (
        "NotProven",
        "The target answers, and its answer does not say whether it knows the credential: the first delivery shows.",
    )
    STATUS_STALE = ("StatusStale", "The gateway that uses it could not be asked for 30 seconds.")
    SECRET_MISSING = ("SecretMissing", "A Secret, ConfigMap or key is not there: create it; the message names it.")
    CREDENTIAL_INVALID = ("CredentialInvalid", "The value in the Secret is empty, or not what it should be.")
    CERTIFICATE_UNUSABLE = (
        "CertificateUnusable",
        "A bundle has no certificates, or a certificate and a key do not belong together.",
    )
    WORKLOAD_IDENTITY_MISSING = (
        "WorkloadIdentityMissing",
        "The cloud's webhook gave the gateway's pod no token: install it, or have the pod made anew.",
    )
    TOKEN_REFUSED = ("TokenRefused", "The token endpoint refuses: the message has its code. Correct spec.auth.")
    TOKEN_ENDPOINT_UNREACHABLE = ("TokenEndpointUnreachable", "The token endpoint does not answer: correct its URL.")
    TOKEN_ENDPOINT_UNAVAILABLE = (
        "TokenEndpointUnavailable",
        "The token endpoint answers 429 or 5xx; it is asked again.",
    )
    TOKEN_ANSWER_INVALID = ("TokenAnswerInvalid", "What answers there gives no token: correct the URL.")
    UNAUTHORIZED = ("Unauthorized", "The target does not know the credential (401): correct it in its Secret.")
    FORBIDDEN = ("Forbidden", "The target refuses what this identity stores (403): give it the right to store.")


class TargetReady(Reason):
    """The target works: it answers an authenticated query as a DICOMweb server, or takes what is delivered.

    What is wrong with Reachable or Authenticated is said here too, with the same reason.
    """

    READY = ("Ready", "It answers an authenticated query (QIDO-RS), or takes what is delivered.")
    NOT_USED = ("NotUsed", "No route that runs uses it.")
    NOT_TESTED = ("NotTested", "No gateway has tested it yet.")
    STATUS_STALE = ("StatusStale", "The gateway that uses it could not be asked for 30 seconds.")
    NOT_DICOM_WEB = (
        "NotDICOMweb",
        "What answers at spec.url is no DICOMweb service: 404, HTML, or another type. Write the base of the service, "
        "without /studies.",
    )
    REDIRECTED = ("Redirected", "It redirects, and redirects are not followed: write where it leads into spec.url.")
    QUERY_NOT_ALLOWED = (
        "QueryNotAllowed",
        "It lets this identity not query (403, 405, 501). True where instances are stored all the same; Unknown "
        "before the first one. No delivery needs a query.",
    )
    QUERY_FAILED = ("QueryFailed", "It refuses the query in a way that says nothing of whether it stores.")
    STORE_REFUSED = (
        "StoreRefused",
        "It answers queries and refuses whatever is stored: the message has its answer. Correct spec.url.",
    )
    THROTTLED = ("Throttled", "It is asked too much (429): it is asked again later.")
    BUSY = ("Busy", "It is not available now (503): its log says why.")
    SERVER_ERROR = ("ServerError", "It fails (5xx): its log says why.")

    @classmethod
    def declared_type(cls) -> str:
        """Return the type of the condition that carries these reasons: that of a route is another list."""
        return "Ready"
