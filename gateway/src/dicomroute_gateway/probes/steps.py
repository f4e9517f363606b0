"""What a probe tries, one step after another, and what came of each. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicomroute_gateway.reasons import NoReason, Reason


class StepName(StrEnum):
    """The steps to a CloudTarget, in their order: DNS to Query. To a DicomNode: DNS, TCP, TLS, Association, Echo."""

    DNS = "DNS"
    TCP = "TCP"
    TLS = "TLS"
    CREDENTIAL = "Credential"
    """Having what authenticates a request: a mounted Secret, or a token of its endpoint."""
    QUERY = "Query"
    """An authenticated QIDO-RS request for one study (PS3.18 10.6)."""
    ASSOCIATION = "Association"
    """An A-ASSOCIATE with the titles of deliveries (PS3.8)."""
    ECHO = "Echo"
    """A C-ECHO (PS3.4 annex A)."""


class StepResult(StrEnum):
    """What came of a step."""

    PASSED = "Passed"
    FAILED = "Failed"
    NOT_NEEDED = "NotNeeded"
    NOT_TRIED = "NotTried"
    """A step before it failed."""


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step; `seconds` is how long it took, None where it was not tried."""

    name: StepName
    result: StepResult
    reason: Reason | NoReason = ""
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe of a target or a node; `time` is when it ended, in seconds since 1970."""

    time: float
    steps: tuple[ProbeStep, ...]

    def step(self, name: StepName) -> ProbeStep:
        """Return a step; one that the probe does not have was not tried."""
        return next((one for one in self.steps if one.name is name), ProbeStep(name, StepResult.NOT_TRIED))

    @property
    def passed(self) -> bool:
        """Whether every step that is needed passed."""
        return all(one.result in (StepResult.PASSED, StepResult.NOT_NEEDED) for one in self.steps)

    @property
    def round_trip_seconds(self) -> float | None:
        """How long a node took to answer a C-ECHO; None where it answered none."""
        echo = self.step(StepName.ECHO)
        return echo.seconds if echo.result is StepResult.PASSED else None


ADVICE: Final[Mapping[Reason, str]] = {
    Reason.DNS_FAILED: "correct the host in spec.url, or fix the DNS of the gateway's pods",
    Reason.CONNECTION_FAILED: (
        "check that the server is running, and that firewalls and the NetworkPolicy allow this port"
    ),
    Reason.CONNECTION_LOST: (
        "the server accepted the connection and then closed it: check the server's log, and devices in between"
    ),
    Reason.TIMED_OUT: "no answer in time: check that the server is running, and that no firewall drops the packets",
    Reason.TLS_UNTRUSTED: "name the authority of the certificate in spec.tls.caBundleRef",
    Reason.TLS_NAME_MISMATCH: "use the name in the certificate in spec.url, or issue a certificate for this name",
    Reason.TLS_EXPIRED: "renew the server's certificate, or correct the clock that is wrong",
    Reason.TLS_VERSION_UNSUPPORTED: "enable TLS 1.2 or newer on the server",
    Reason.TLS_FAILED: "check that this port uses TLS; if not, use http:// in spec.url",
    Reason.PROXY_UNREACHABLE: "correct spec.proxy.url, or add the host to spec.proxy.noProxy",
    Reason.PROXY_REFUSED: "let the proxy allow a tunnel to this host and port, or add the host to spec.proxy.noProxy",
    Reason.TOKEN_ENDPOINT_UNREACHABLE: (
        "correct the URL of the token endpoint in spec.auth, or allow the connection to it"
    ),
}
"""What to do about faults whose own sentence does not say it."""


_TYPES: Final = ("application/dicom+json", "application/json", "multipart/related")


def advised(reason: Reason, message: str) -> str:
    """Return the sentence of a fault with what to do about it."""
    advice = ADVICE.get(reason)
    return f"{message}: {advice}" if advice else message


def answered(status: int, content_type: str) -> tuple[Reason | NoReason, str]:
    """Return reason and sentence of an answer to the query; two empty texts for one that a DICOMweb server gives.

    The types are those of PS3.18 10.6.3: DICOM JSON, or XML in a multipart body.
    """
    media = content_type.partition(";")[0].strip().lower()
    if status == 204 or (
        status == 200 and media in ("application/dicom+json", "application/json", "multipart/related")
    ):
        return "", ""
    if status == 200:
        what = f"with {media}" if media else "without a Content-Type"
        sentence = (
            f"the server answers a query {what}, which is not DICOMweb: set spec.url to the base URL of the service"
        )
        return Reason.NOT_DICOMWEB, sentence
    shown = f"the server answers a query with HTTP {status}"
    if 300 <= status < 400:
        return (
            Reason.REDIRECTED,
            f"{shown}, a redirect, which the gateway does not follow: set spec.url to the new location",
        )
    if status == 401:
        return (
            Reason.UNAUTHORIZED,
            f"{shown}: the credential is not accepted; correct spec.auth, or the Secret that it references",
        )
    if status in (403, 405, 501):
        return Reason.QUERY_NOT_ALLOWED, f"{shown}: this identity may not query, or the server allows no queries"
    if status in (404, 410):
        return (
            Reason.NOT_DICOMWEB,
            f"{shown}: there is no DICOMweb service at spec.url; use its base URL, without /studies",
        )
    if status == 429:
        return Reason.THROTTLED, f"{shown}: the server limits the rate of requests; the gateway retries later"
    if status == 503:
        return (
            Reason.BUSY,
            f"{shown}: the server is temporarily unavailable; the gateway retries later; the server's log says why",
        )
    if status >= 500:
        return Reason.SERVER_ERROR, f"{shown}: the server's log says why"
    return Reason.QUERY_FAILED, f"{shown}, which does not show whether the server stores instances"
