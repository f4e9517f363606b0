"""What carries instances to a destination: its kind decides. The one place that knows all adapters."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from dicomroute_gateway.configuration.destinations import (
    CloudTargetDestination,
    DestinationSettings,
    DicomNodeDestination,
)
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.deliver.bandwidth import bytes_per_second
from dicomroute_gateway.deliver.cloud.query import QueryConfirmation
from dicomroute_gateway.deliver.cloud.stow import StowTransport
from dicomroute_gateway.deliver.node.commit import CommitmentConfirmation
from dicomroute_gateway.deliver.node.cstore import CStoreTransport
from dicomroute_gateway.deliver.transport import Confirmation, Transport
from dicomroute_gateway.destination import Destination, DestinationKind, kind_of
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.node.reports import Reports
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.throttle import Throttle

T = TypeVar("T", bound=DestinationSettings)


class Transports:
    """Makes transports. What they ask of their destination is how it is configured at that moment."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        secrets: Path,
        tokens: TokenCache,
        preparing: Preparing,
        contexts: TlsContexts,
        reports: Reports,
    ) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._tokens = tokens
        self._preparing = preparing
        self._contexts = contexts
        self._reports = reports

    def to(self, destination: Destination) -> Transport:
        """Return what carries instances to a destination, whether it is configured or not."""
        throttle = Throttle(partial(self._bytes_per_second, destination))
        if kind_of(destination) == DestinationKind.DICOM_NODE:
            node = partial(self._settings, destination, DicomNodeDestination)
            return CStoreTransport(destination, node, throttle, self._preparing, self._contexts)
        target = partial(self._settings, destination, CloudTargetDestination)
        return StowTransport(target, self._secrets, self._tokens, throttle, self._preparing)

    def confirmation_of(self, destination: Destination) -> Confirmation:
        """Return what asks a destination whether it has what it was sent."""
        if kind_of(destination) == DestinationKind.DICOM_NODE:
            node = partial(self._settings, destination, DicomNodeDestination)
            return CommitmentConfirmation(destination, node, self._reports, self._contexts)
        target = partial(self._settings, destination, CloudTargetDestination)
        return QueryConfirmation(target, self._secrets, self._tokens)

    def _bytes_per_second(self, destination: Destination) -> int | None:
        settings = self._settings(destination, DestinationSettings)
        return bytes_per_second(settings.bandwidth, time.time()) if settings is not None else None

    def _settings(self, destination: Destination, kind: type[T]) -> T | None:
        """Return a destination as it is configured at the moment, if it is."""
        found = self._configuration().settings_of(destination)
        return found if isinstance(found, kind) else None
