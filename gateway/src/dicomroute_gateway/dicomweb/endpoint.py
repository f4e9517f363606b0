"""A DICOMweb server as requests see it: where it is and how to get in, whatever it is asked for. Pure."""

from typing import Protocol

from dicomroute_gateway.configuration.credentials import Auth, Proxy, Tls


class Endpoint(Protocol):
    """Any part of a configuration that has these is asked as it stands."""

    @property
    def url(self) -> str:
        """The root of its resources, without a slash at the end."""

    @property
    def auth(self) -> Auth:
        """What requests are authenticated with."""

    @property
    def tls(self) -> Tls:
        """What its certificate is checked with, and what it is shown."""

    @property
    def proxy(self) -> Proxy | None:
        """What requests go through; None: straight there."""
