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


class Result(StrEnum):
    """What came of a step."""

    PASSED = "Passed"
    FAILED = "Failed"
    NOT_NEEDED = "NotNeeded"
    NOT_TRIED = "NotTried"
    """A step before it failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `seconds` is how long it took, None where it was not tried."""

    name: StepName
    result: Result
    reason: Reason | NoReason = ""
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe of a target or a node; `time` is when it ended, in seconds since 1970."""

    time: float
    steps: tuple[Step, ...]

    def step(self, name: StepName) -> Step:
        """Return a step; one that the probe does not have was not tried."""
        return next((one for one in self.steps if one.name is name), Step(name, Result.NOT_TRIED))

    @property
    def passed(self) -> bool:
        """Whether every step that is needed passed."""
        return all(one.result in (Result.PASSED, Result.NOT_NEEDED) for one in self.steps)

    @property
    def round_trip_seconds(self) -> float | None:
        """How long a node took to answer a C-ECHO; None where it answered none."""
        echo = self.step(StepName.ECHO)
        return echo.seconds if echo.result is Result.PASSED else None


ADVICE: Final[Mapping[Reason, str]] = {
    Reason.DNS_FAILED: "correct the host in spec.url, or mend the name server that the gateway's pods ask",
    Reason.CONNECTION_FAILED: (
        "is the server up, and does a firewall or the NetworkPolicy let the gateway out to this port?"
    ),
    Reason.CONNECTION_LOST: "it took the connection and ended it: look at the server's log, and at what stands between",
    Reason.TIMED_OUT: "no answer in time: is the server up, and does a firewall drop what the gateway sends?",
    Reason.TLS_UNTRUSTED: "name the authority that signed it in spec.tls.caBundleRef",
    Reason.TLS_NAME_MISMATCH: "use the name in spec.url that the certificate is for, or have it issued for this one",
    Reason.TLS_EXPIRED: "have the server's certificate renewed, or correct the clock of whoever is wrong",
    Reason.TLS_VERSION_UNSUPPORTED: "enable TLS 1.2 or newer at the server",
    Reason.TLS_FAILED: "does this port speak TLS at all? If not, spec.url begins with http://",
    Reason.PROXY_UNREACHABLE: "correct spec.proxy.url, or put the host into spec.proxy.noProxy",
    Reason.PROXY_REFUSED: "let the proxy tunnel to this host and port, or put the host into spec.proxy.noProxy",
    Reason.TOKEN_ENDPOINT_UNREACHABLE: "correct the URL of the token endpoint in spec.auth, or open the way to it",
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
        sentence = f"it answers a query {what}, which is not DICOMweb: correct spec.url, the base of the service"
        return Reason.NOT_DICOMWEB, sentence
    shown = f"it answers a query with HTTP {status}"
    if 300 <= status < 400:
        return Reason.REDIRECTED, f"{shown}, a redirect, which is not followed: write where it leads into spec.url"
    if status == 401:
        return (
            Reason.UNAUTHORIZED,
            f"{shown}: it does not know the credential; correct spec.auth, or the Secret it names",
        )
    if status in (403, 405, 501):
        return Reason.QUERY_NOT_ALLOWED, f"{shown}: this identity may not query, or nobody may"
    if status in (404, 410):
        return (
            Reason.NOT_DICOMWEB,
            f"{shown}: there is no DICOMweb service at spec.url; write its base, without /studies",
        )
    if status == 429:
        return Reason.THROTTLED, f"{shown}: it is asked too much, and asked again later"
    if status == 503:
        return Reason.BUSY, f"{shown}: it is not available now, and asked again later; its log says why"
    if status >= 500:
        return Reason.SERVER_ERROR, f"{shown}: its log says why"
    return Reason.QUERY_FAILED, f"{shown}, which says nothing of whether it stores"
