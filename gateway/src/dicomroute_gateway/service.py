"""One gateway: the rooms joined into a process, its configuration kept up to date, and its end."""

import asyncio
import os
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from .admin.fill_rate import FillRate
from .admin.ledger import LedgerView
from .admin.queue import Queue
from .admin.server import AdminServer
from .admin.status import DestinationActivity, Observation, key_findings
from .configuration.load import ConfigurationError, Loaded, load
from .configuration.model import CloudTargetDestination, Configuration, EncryptionMode, Mode
from .configuration.model import Listener as ListenerConfiguration
from .deliver.deliverer import Deliverer
from .dicomweb.credentials.expiry import expires_time
from .dicomweb.credentials.tokens import TokenCache
from .dimse.listener import Counts, Listener, ListenerError
from .measures import Measures
from .probes.prober import Prober
from .process.transports import Transports
from .reception import Active, Reception
from .rules.routing import compile_rules
from .spool.errors import SpoolError
from .spool.keys import NO_KEYS, Keys, load_keys
from .spool.spool import Spool

_POLL_SECONDS: Final = 0.5
_ROOM_PERCENT: Final = 2
"""How much of the spool below its watermark is kept free of what is owed to optional destinations alone."""
_ATTEMPTS_SECONDS: Final = 3.0
"""How long attempts under way may go on when the gateway ends: they are made again, and senders wait for the next."""
_LAST_GOOD: Final = "configuration.json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Settings:
    """Where a gateway finds its things and where it listens; what the pod or `dicomroute run` decides.

    `ports` replaces the configured port of a listener by name. An admin port serves health and API together in plain
    HTTP; a health port and an API port serve them apart, the API over TLS.
    """

    configuration: Path
    secrets: Path
    spool: Path
    admin_token: Path
    bind: str = "0.0.0.0"
    ports: Mapping[str, int] = field(default_factory=dict)
    admin_port: int | None = None
    health_port: int | None = None
    api_port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None


class Gateway:
    """The gateway of one route."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started_time = time.time()
        self._loaded: Loaded | None = None
        self._active: Active | None = None
        self._problems: dict[str, tuple[str, str]] = {}
        self._spool: Spool | None = None
        self._deliverer: Deliverer | None = None
        self._prober: Prober | None = None
        self._queue: Queue | None = None
        self._ledger: LedgerView | None = None
        self._listeners: dict[str, Listener] = {}
        self._last_settings: dict[str, ListenerConfiguration] = {}
        self._leaving: list[threading.Thread] = []
        self._counts = Counts()
        self._measures = Measures()
        self._text: str | None = None
        self._secrets: list[tuple[str, int, int]] = []
        self._keys = NO_KEYS
        self._credential_ends: dict[str, float] = {}
        self._draining = False
        self._fill_rate = FillRate()
        self._tokens = TokenCache()
        self._admin = AdminServer(
            self.observe,
            lambda: self._queue,
            lambda: self._ledger,
            settings.admin_token,
            self._measures,
            self._counts.callers.latest,
            lambda: self._prober,
        )
        self._tls: ssl.SSLContext | None = None
        self._certificate_version: tuple[int, int] | None = None
        self.admin_port: int | None = None

    @property
    def ports(self) -> dict[str, int]:
        """The ports that are listened on, by listener."""
        return {name: listener.port for name, listener in self._listeners.items()}

    @property
    def is_ready(self) -> bool:
        """Whether the gateway receives: a configuration is loaded, its listeners are open, the spool is trusted and,
        where it encrypts, has its key.

        Neither the level of the spool nor the health of a destination counts: a sender is better told 0xA700 than
        left without an answer.
        """
        spool = self._spool
        if self._active is None or spool is None or self._draining or spool.failure or spool.keys.problem:
            return False
        return {listener.name for listener in self._active.configuration.listeners} <= self._listeners.keys()

    async def start(self) -> None:
        """Open everything that can be opened. What cannot is a problem that status and readiness report.

        Raises OSError when the admin port is taken.
        """
        await self._start_admin()
        await self._follow()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the configuration until `stop` is set, then drain."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _POLL_SECONDS)
            except TimeoutError:
                try:
                    await self._follow()
                    await self._watch_level()
                except Exception as error:
                    log.exception("configuration.failed")
                    self._problem("configuration", "GatewayError", f"{type(error).__name__}: the log says more")
        await self._drain()

    async def _watch_level(self) -> None:
        """Learn how fast the spool fills, and let optional destinations make room before anybody is refused."""
        if self._spool is None or not self._spool.is_loaded:
            return
        level = self._spool.level()
        self._fill_rate.add(time.monotonic(), level.used)
        room = level.watermark - level.capacity * _ROOM_PERCENT // 100
        if level.used <= room:
            return
        if skipped := await asyncio.to_thread(self._spool.decisions.skip, self._in_force().optional, room):
            log.warning("spool.skipped", deliveries=skipped, reason="optional destinations made room")

    def observe(self) -> Observation:
        """Return how the gateway stands."""
        spool = self._spool
        problems = [(section, *problem) for section, problem in self._problems.items()]
        if spool is not None and spool.failure:
            problems.append(("spool", spool.failure_reason, f"{spool.failure}: mend the volume, restart the gateway"))
        snapshot = spool.snapshot() if spool is not None and spool.is_loaded else None
        keys = spool.keys if spool is not None else NO_KEYS
        problems += key_findings(keys, snapshot.instances_by_key if snapshot else {})
        return Observation(
            ready=self.is_ready,
            problems=problems,
            started_time=self._started_time,
            now=time.time(),
            loaded=self._loaded,
            listeners=[(one.name, one.port, one.associations) for one in self._listeners.values()],
            associations=self._counts.snapshot(),
            snapshot=snapshot,
            keys=keys,
            activity={
                destination: DestinationActivity(
                    worker.in_flight,
                    worker.last_error,
                    worker.is_waiting,
                    worker.paused,
                    worker.warnings,
                    self._prober.probed(destination) if self._prober else None,
                    self._prober.findings(destination) if self._prober else None,
                )
                for destination, worker in (self._deliverer.workers.items() if self._deliverer else ())
            },
            fill_bytes_per_second=self._fill_rate.bytes_per_second,
            credential_ends=self._credential_ends,
            unmounted_secrets=[name for name in self._secret_files() if not (self._settings.secrets / name).is_file()],
        )

    # -- configuration ---------------------------------------------------------------------------------------

    def _in_force(self) -> Active:
        assert self._active is not None
        return self._active

    def _configuration(self) -> Configuration:
        return self._in_force().configuration

    async def _follow(self) -> None:
        """Take over a changed configuration, and open what could not be opened before."""
        self._follow_certificate()
        changed = self._reload()
        if self._active is None:
            return
        keys = self._load_keys()
        if self._spool is None:
            changed = await self._open_spool(keys)
        if self._spool is None or self._deliverer is None:
            return
        self._spool.use_keys(keys)
        if changed:
            configuration = self._active.configuration
            self._spool.resize(
                configuration.spool.size_bytes,
                configuration.spool.high_watermark_percent,
                history_seconds=configuration.ledger.retention_seconds,
            )
            self._keep_last_good()
            self._deliverer.reconsider()
        if changed or not self.is_ready:
            self._fit_listeners()
        secrets = self._secrets_seen()
        if changed or secrets != self._secrets:
            self._credential_ends = self._ends_of_credentials()
        if secrets != self._secrets:
            self._secrets = secrets
            log.info("secrets.changed")
            self._deliverer.hurry(None)
        if self._prober is not None:
            self._prober.follow()

    def _load_keys(self) -> Keys:
        """Return the keys of the spool as they are mounted at this moment."""
        encryption, keys = self._configuration().spool.encryption, NO_KEYS
        if encryption is not None:
            encrypts = encryption.mode is EncryptionMode.ENABLED
            keys = load_keys(self._settings.secrets, encryption.key_file, encrypts=encrypts)
        if keys != self._keys:
            self._keys = keys
            log.info("spool.keys", ids=list(keys.by_id), encrypts=keys.current and keys.current.id)
            if keys.problem is not None:
                log.error("spool.key_unusable", reason=keys.problem.reason, message=keys.problem.message)
        return keys

    def _secret_files(self) -> list[str]:
        """Return the mounted files (SECRET/KEY, ConfigMap-NAME/KEY) that destinations and the spool use."""
        if self._active is None:
            return []
        configuration = self._configuration()
        targets = (one for one in configuration.destinations if isinstance(one, CloudTargetDestination))
        files = {file for target in targets for file in target.files}
        if configuration.spool.encryption is not None:
            files.add(configuration.spool.encryption.key_file)
        return sorted(files)

    def _secrets_seen(self) -> list[tuple[str, int, int]]:
        """Return which Secret files are used, and which version of each is mounted.

        Their contents are read at each use; a change only ends the wait that a refused credential began.
        """
        seen = []
        for name in self._secret_files():
            try:
                stat = (self._settings.secrets / name).stat()
            except OSError:
                continue
            seen.append((name, stat.st_ino, stat.st_mtime_ns))
        return seen

    def _ends_of_credentials(self) -> dict[str, float]:
        """Return when the credential of each destination ends, where it says so."""
        ends = {
            str(destination.key): expires_time(destination, self._settings.secrets)
            for destination in self._configuration().destinations
            if isinstance(destination, CloudTargetDestination)
        }
        return {destination: end for destination, end in ends.items() if end is not None}

    async def _open_spool(self, keys: Keys) -> bool:
        """Open the spool and what stands on it; return whether it is open. It is tried again while it is not."""
        limits, ledger = self._configuration().spool, self._configuration().ledger
        try:
            spool = await asyncio.to_thread(
                Spool,
                self._settings.spool,
                limits.size_bytes,
                limits.high_watermark_percent,
                history_seconds=ledger.retention_seconds,
                keys=keys,
            )
        except SpoolError as error:
            self._problem("spool", error.reason, str(error))
            return False
        except OSError as error:
            self._problem("spool", "SpoolUnusable", f"{self._settings.spool}: {error.strerror}")
            return False
        self._problems.pop("spool", None)
        self._spool = spool
        transports = Transports(self._configuration, self._settings.secrets, self._tokens, spool)
        self._deliverer = Deliverer(spool, self._configuration, transports.to, self._measures)
        self._queue = Queue(spool, self._deliverer, self._in_force)
        self._ledger = LedgerView(spool, self._in_force)
        self._deliverer.start()
        self._prober = Prober(self._configuration, self._settings.secrets, self._tokens, self._deliverer.workers)
        return True

    def _reload(self) -> bool:
        """Load the mounted configuration if its text has changed; return whether something else is in force."""
        try:
            text = self._settings.configuration.read_text()
        except (OSError, UnicodeDecodeError) as error:
            self._problem("configuration", "ConfigurationMissing", f"{self._settings.configuration}: {error}")
            return self._fall_back()
        if text == self._text:
            return False
        self._text = text
        last_good = self._active.configuration if self._active else self._stored_last_good()
        try:
            loaded = load(text, compile_rules, last_good)
        except ConfigurationError as error:
            self._problem("configuration", "ConfigurationInvalid", str(error))
            return self._fall_back()
        self._problems.pop("configuration", None)
        self._take_over(loaded)
        return True

    def _take_over(self, loaded: Loaded) -> None:
        self._active = Active(loaded.configuration, compile_rules(loaded.configuration.rules))
        self._loaded = loaded
        for finding in loaded.findings:
            log.warning(
                "configuration.section_kept",
                section=finding.section,
                reason=finding.reason,
                message=finding.message,
            )
        log.info("configuration.loaded", hash=loaded.hash, generation=loaded.configuration.generation)

    def _fall_back(self) -> bool:
        """Start from the configuration that this spool last had, when the mounted one does not load."""
        if self._active is not None:
            return False
        last_good = self._stored_last_good()
        if last_good is None:
            return False
        self._take_over(load(last_good.model_dump_json(by_alias=True), compile_rules))
        return True

    def _stored_last_good(self) -> Configuration | None:
        path = self._settings.spool / _LAST_GOOD
        try:
            return load(path.read_text(), compile_rules).configuration
        except FileNotFoundError:
            return None
        except (OSError, ConfigurationError) as error:
            log.warning("configuration.last_good_unusable", error=str(error))
            return None

    def _keep_last_good(self) -> None:
        path = self._settings.spool / _LAST_GOOD
        try:
            temporary = path.with_suffix(".new")
            temporary.write_text(self._configuration().model_dump_json(by_alias=True))
            temporary.rename(path)
        except OSError as error:
            log.warning("configuration.last_good_not_kept", error=str(error))

    def _problem(self, section: str, reason: str, message: str) -> None:
        if self._problems.get(section) != (reason, message):
            log.error("gateway.problem", section=section, reason=reason, message=message)
        self._problems[section] = (reason, message)

    # -- listeners -------------------------------------------------------------------------------------------

    def _fit_listeners(self) -> None:
        """Open the listeners that are configured and close the others; associations elsewhere go on."""
        assert self._spool is not None
        configuration = self._configuration()
        wanted = {one.name: self._settings.ports.get(one.name, one.port) for one in configuration.listeners}
        for name, listener in list(self._listeners.items()):
            if name not in wanted or wanted[name] not in (listener.port, 0):
                del self._listeners[name]
                listener.close()
                thread = threading.Thread(
                    target=listener.drain,
                    args=(time.monotonic() + configuration.drain_timeout_seconds,),
                    name=f"drain-{name}",
                    daemon=True,
                )
                thread.start()
                self._leaving.append(thread)
        reception = Reception(self._spool, self._in_force, self._measures)
        for name, port in wanted.items():
            if name in self._listeners:
                continue
            try:
                listener = Listener(
                    name,
                    partial(self._listener_settings, name),
                    reception,
                    self._counts,
                    self._measures,
                    self._settings.bind,
                    port,
                )
            except ListenerError as error:
                self._problem(f"listeners[{name}]", "PortUnavailable", str(error))
                continue
            self._problems.pop(f"listeners[{name}]", None)
            listener.start()
            self._listeners[name] = listener
            log.info("listener.open", listener=name, port=listener.port)

    def _listener_settings(self, name: str) -> tuple[ListenerConfiguration, Mode]:
        """Return the configuration of a listener; one that is being closed keeps the last that it had."""
        configuration = self._configuration()
        found = next((one for one in configuration.listeners if one.name == name), None)
        if found is not None:
            self._last_settings[name] = found
        return (found or self._last_settings[name], configuration.mode)

    # -- admin and end ---------------------------------------------------------------------------------------

    async def _start_admin(self) -> None:
        settings = self._settings
        if settings.admin_port is not None:
            self.admin_port = await self._admin.start(settings.bind, settings.admin_port, health=True, api=True)
        if settings.health_port is not None:
            self.admin_port = await self._admin.start(settings.bind, settings.health_port, health=True, api=False)
        if settings.api_port is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._follow_certificate()
            await self._admin.start(settings.bind, settings.api_port, health=False, api=True, tls=self._tls)

    def _follow_certificate(self) -> None:
        """Take over a serving certificate that has changed: the next connection is shown it."""
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        if self._tls is None or certificate is None or key is None:
            return
        try:
            version = (certificate.stat().st_mtime_ns, key.stat().st_mtime_ns)
            if version != self._certificate_version:
                self._tls.load_cert_chain(certificate, key)
                self._certificate_version = version
        except (OSError, ssl.SSLError) as error:
            if self._certificate_version is None:
                raise
            log.warning("certificate.unusable", error=str(error))

    async def _drain(self) -> None:
        """End in order: no new associations, each message under way answered, attempts ended, the spool closed."""
        self._draining = True
        timeout = self._active.configuration.drain_timeout_seconds if self._active else 0
        deadline = time.monotonic() + timeout
        log.info("gateway.draining", timeout_seconds=timeout)
        if self._spool is not None:
            self._spool.end_waiting()
        endings = [asyncio.to_thread(listener.drain, deadline) for listener in self._listeners.values()]
        endings += [asyncio.to_thread(thread.join, timeout) for thread in self._leaving]
        if self._prober is not None:
            endings.append(self._prober.stop())
        if self._deliverer is not None:
            endings.append(self._deliverer.stop(min(timeout, _ATTEMPTS_SECONDS)))
        await asyncio.gather(*endings)
        await self._tokens.close()
        await self._admin.stop()
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)
        log.info("gateway.stopped", pid=os.getpid())
