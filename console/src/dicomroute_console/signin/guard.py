"""What stands in front of every page: which host was asked, who made the browser ask, and what the browser may load."""

from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""A Study Instance UID stands in addresses: no other site learns one from a referrer."""

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE: Final = frozenset({"GET", "HEAD"})


def refusal(
    method: str, host: str, origin: str | None, site: str | None, allowed: Collection[str], *, has_bearer: bool
) -> str:
    """Return why a request is not answered, "" if it is. Pure.

    `host` is the header with its port, `site` Sec-Fetch-Site. A name that is not ours may be one that leads here (DNS
    rebinding). What changes something comes from a page of ours, or from a program with a token of its own: no browser
    adds that by itself.
    """
    if _split(f"//{host}").hostname not in allowed:
        return f"this console does not serve the host name {host!r}: add it to the value console.hosts, or to --host"
    if method in _SAFE or has_bearer:
        return ""
    if site is not None and site != "same-origin":
        return "the request comes from a page of another site"
    if origin is None and site is None:
        return "the request does not say which page sent it (Origin)"
    if origin is not None and _split(origin).netloc != host:
        return "the request comes from a page of another origin"
    return ""


def _split(text: str) -> SplitResult:
    """Return the parts of an address; none of what is no address."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def is_of_this_machine(host: str) -> bool:
    """Return whether a Host header names the machine that the browser runs on."""
    return _split(f"//{host}").hostname in LOOPBACK
