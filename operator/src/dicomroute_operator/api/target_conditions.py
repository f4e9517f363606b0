"""The reasons of a CloudTarget's own conditions: what the gateways of the routes that use it found."""

from .reason import Reason


class Reachable(Reason):
    """The target answers the gateways of the routes that use it. If several do, the worst result is shown."""

    REACHABLE = ("Reachable", "Every gateway that uses the target gets an answer.")
    NOT_USED = (
        "NotUsed",
        "No running route uses this target, so no gateway tests it. Run `dicomroute test target NAME` to test it from "
        "your machine.",
    )
    NOT_TESTED = (
        "NotTested",
        "No gateway has tested the target yet, or an earlier step of the test failed. The message says which.",
    )
    STATUS_STALE = ("StatusStale", "The gateway that uses the target could not be asked for 30 seconds.")
    URL_INVALID = ("URLInvalid", "The URL is not valid for a connection. Correct spec.url.")
    DNS_FAILED = ("DNSFailed", "The host name in spec.url cannot be resolved. Correct it, or fix the DNS of the pods.")
    CONNECTION_FAILED = (
        "ConnectionFailed",
        "The connection is refused, or there is no network path. Start the server, or allow the connection in the "
        "firewall or NetworkPolicy.",
    )
    CONNECTION_LOST = ("ConnectionLost", "The connection ended before an answer. The server's log says why.")
    TIMED_OUT = (
        "TimedOut",
        "The target did not answer in time. Start the server, or fix the firewall that drops the packets.",
    )
    TLS_UNTRUSTED = (
        "TLSUntrusted",
        "The certificate is signed by an unknown authority. Name the authority in spec.tls.caBundleRef.",
    )
    TLS_NAME_MISMATCH = (
        "TLSNameMismatch",
        "The certificate is for another host name. Use its name in spec.url, or issue another certificate.",
    )
    TLS_EXPIRED = ("TLSExpired", "The server's certificate has expired or is not valid yet. Renew it on the server.")
    TLS_VERSION_UNSUPPORTED = (
        "TLSVersionUnsupported",
        "The server supports only TLS 1.1 or older. Enable TLS 1.2 on the server.",
    )
    TLS_CLIENT_CERTIFICATE_REQUIRED = (
        "TLSClientCertificateRequired",
        "The server requires a client certificate, or another one. Set spec.tls.clientCertificateRef.",
    )
    TLS_FAILED = (
        "TLSFailed",
        "The TLS handshake failed. The message says why. If the port does not use TLS, use http://.",
    )
    PROXY_UNREACHABLE = ("ProxyUnreachable", "The proxy does not answer. Correct spec.proxy.url.")
    PROXY_REFUSED = (
        "ProxyRefused",
        "The proxy refuses a tunnel to the target. Allow it on the proxy, or add the host to spec.proxy.noProxy.",
    )
    PROXY_AUTHENTICATION_REQUIRED = (
        "ProxyAuthenticationRequired",
        "The proxy requires a user name and password, or other ones. Set spec.proxy.basic.",
    )


class Authenticated(Reason):
    """The target accepts the credential, or requires none."""

    AUTHENTICATED = ("Authenticated", "The target accepts the credential, or requires none.")
    NOT_USED = ("NotUsed", "No running route uses this target.")
    NOT_TESTED = ("NotTested", "The credential could not be tested yet. See the condition Reachable.")
    NOT_PROVEN = (
        "NotProven",
        "The target's answer does not show whether it accepts the credential. The first delivery will show it.",
    )
    STATUS_STALE = ("StatusStale", "The gateway that uses the target could not be asked for 30 seconds.")
    SECRET_MISSING = ("SecretMissing", "A Secret, ConfigMap or key is missing. The message names it. Create it.")
    CREDENTIAL_INVALID = ("CredentialInvalid", "The value in the Secret is empty or not in the right form. Correct it.")
    CERTIFICATE_UNUSABLE = (
        "CertificateUnusable",
        "A bundle contains no certificates, or a certificate and a key do not match.",
    )
    WORKLOAD_IDENTITY_MISSING = (
        "WorkloadIdentityMissing",
        "The cloud's webhook did not give the gateway's pod a token. Install the webhook, or delete the pod to "
        "create it again.",
    )
    TOKEN_REFUSED = (
        "TokenRefused",
        "The token endpoint refuses the request. The message contains its error code. Correct spec.auth.",
    )
    TOKEN_ENDPOINT_UNREACHABLE = ("TokenEndpointUnreachable", "The token endpoint does not answer. Correct its URL.")
    TOKEN_ENDPOINT_UNAVAILABLE = (
        "TokenEndpointUnavailable",
        "The token endpoint answers 429 or 5xx. The gateway retries.",
    )
    TOKEN_ANSWER_INVALID = (
        "TokenAnswerInvalid",
        "The answer of the token endpoint contains no token. Correct the URL.",
    )
    UNAUTHORIZED = ("Unauthorized", "The target rejects the credential (401). Correct it in its Secret.")
    FORBIDDEN = ("Forbidden", "The target does not allow this identity to store (403). Grant it permission to store.")


class TargetReady(Reason):
    """The target works: it answers an authenticated DICOMweb query, or accepts deliveries.

    Problems of Reachable or Authenticated appear here too, with the same reason.
    """

    READY = ("Ready", "The target answers an authenticated query (QIDO-RS), or accepts deliveries.")
    NOT_USED = ("NotUsed", "No running route uses this target.")
    NOT_TESTED = ("NotTested", "No gateway has tested the target yet.")
    STATUS_STALE = ("StatusStale", "The gateway that uses the target could not be asked for 30 seconds.")
    NOT_DICOM_WEB = (
        "NotDICOMweb",
        "The server at spec.url does not answer as DICOMweb: it answers 404, HTML or another type. Use the base URL "
        "of the DICOMweb service, without /studies.",
    )
    REDIRECTED = (
        "Redirected",
        "The target redirects, and the gateway does not follow redirects. Set spec.url to the new location.",
    )
    QUERY_NOT_ALLOWED = (
        "QueryNotAllowed",
        "The target does not allow this identity to query (403, 405, 501). The condition is still True if instances "
        "are stored, and Unknown before the first one. Deliveries do not need queries.",
    )
    QUERY_FAILED = (
        "QueryFailed",
        "The target refuses the query. Its answer does not show whether it stores instances.",
    )
    STORE_REFUSED = (
        "StoreRefused",
        "The target answers queries, but refuses every instance. The message contains its answer. Correct spec.url.",
    )
    THROTTLED = ("Throttled", "The target limits the rate of requests (429). The gateway retries later.")
    BUSY = ("Busy", "The target is temporarily unavailable (503). Its log says why.")
    SERVER_ERROR = ("ServerError", "The target fails with a server error (5xx). Its log says why.")

    @classmethod
    def declared_type(cls) -> str:
        """Return the type of the condition that carries these reasons: that of a route is another list."""
        return "Ready"
