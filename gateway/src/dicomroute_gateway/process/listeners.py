"""The open ports of a gateway: fitted to the configuration, and closed in order."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from dicomroute_gateway.configuration.listener import Listener as ListenerConfiguration
from dicomroute_gateway.configuration.model import Configuration, Mode
from dicomroute_gateway.dimse.counts import Counts
from dicomroute_gateway.dimse.listener import Listener, ListenerError
from dicomroute_gateway.dimse.services import Services
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.reasons import Reason

from .problems import Problems

log = structlog.get_logger(__name__)


class Listeners:
    """The listeners of one gateway, by name. `ports` replaces the configured port of one."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        counts: Counts,
        problems: Problems,
        bind: str,
        ports: Mapping[str, int],
        contexts: TlsContexts,
    ) -> None:
        self._contexts = contexts
        self._configuration = configuration
        self._counts = counts
        self._problems = problems
        self._bind = bind
        self._ports = ports
        self._open: dict[str, Listener] = {}
        self._last_settings: dict[str, ListenerConfiguration] = {}
        self._leaving: list[threading.Thread] = []

    @property
    def ports(self) -> dict[str, int]:
        """The ports that are listened on, by listener."""
        return {name: listener.port for name, listener in self._open.items()}

    def are_open(self, configuration: Configuration) -> bool:
        """Return whether all that are configured are open."""
        return {listener.name for listener in configuration.listeners} <= self._open.keys()

    def observed(self) -> list[tuple[str, int, int]]:
        """Return name, port and number of associations of each."""
        return [(one.name, one.port, one.associations) for one in self._open.values()]

    def fit(self, services: Services) -> None:
        """Open the listeners that are configured and close the others; associations elsewhere go on."""
        configuration = self._configuration()
        wanted = {one.name: self._ports.get(one.name, one.port) for one in configuration.listeners}
        for name, listener in list(self._open.items()):
            if name not in wanted or wanted[name] not in (listener.port, 0):
                del self._open[name]
                self._close(listener, configuration.drain_timeout_seconds)
        for name, port in wanted.items():
            if name in self._open:
                continue
            try:
                listener = Listener(
                    name, partial(self._settings, name), services, self._counts, self._bind, port, self._contexts
                )
            except ListenerError as error:
                self._problems.report(f"listeners[{name}]", Reason.PORT_UNAVAILABLE, str(error))
                continue
            self._problems.solved(f"listeners[{name}]")
            listener.start()
            self._open[name] = listener
            log.info("listener.open", listener=name, port=listener.port)

    def drain(self, timeout_seconds: float) -> list[Awaitable[None]]:
        """Return what ends all of them, each message under way answered."""
        deadline = time.monotonic() + timeout_seconds
        endings: list[Awaitable[None]] = [asyncio.to_thread(one.drain, deadline) for one in self._open.values()]
        return endings + [asyncio.to_thread(thread.join, timeout_seconds) for thread in self._leaving]

    def _close(self, listener: Listener, drain_seconds: float) -> None:
        listener.close()
        thread = threading.Thread(
            target=listener.drain, args=(time.monotonic() + drain_seconds,), name=f"drain-{listener.name}", daemon=True
        )
        thread.start()
        self._leaving.append(thread)

    def _settings(self, name: str) -> tuple[ListenerConfiguration, Mode]:
        """Return the configuration of a listener; one that is being closed keeps the last that it had."""
        configuration = self._configuration()
        found = next((one for one in configuration.listeners if one.name == name), None)
        if found is not None:
            self._last_settings[name] = found
        return (found or self._last_settings[name], configuration.mode)
