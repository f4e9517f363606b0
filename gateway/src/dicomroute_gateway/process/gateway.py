"""One gateway: the rooms composed into a process, kept up to date, and ended in order."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from dicomroute_gateway.admin.fill_rate import FillRate
from dicomroute_gateway.admin.ledger import LedgerView
from dicomroute_gateway.admin.queue import Queue
from dicomroute_gateway.admin.server import AdminServer
from dicomroute_gateway.admin.status import DestinationActivity, Observation, key_findings
from dicomroute_gateway.admin.studies import StudiesView
from dicomroute_gateway.commitment.committing import Committing
from dicomroute_gateway.commitment.scp import CommitmentService
from dicomroute_gateway.commitment.transactions import Transactions
from dicomroute_gateway.configuration.authentic import ConfigurationSeal
from dicomroute_gateway.configuration.model import EventLimits
from dicomroute_gateway.deliver.deliverer import Deliverer
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.dicomweb.credentials.tokens import TokenCache
from dicomroute_gateway.dimse.counts import Counts
from dicomroute_gateway.dimse.services import Services
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.dimse.verification import VerificationService
from dicomroute_gateway.events.feed import Feed
from dicomroute_gateway.events.told import source_of
from dicomroute_gateway.intake.reception import Reception
from dicomroute_gateway.intake.storage_scp import StorageService
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.node.reports import Reports
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.probes.prober import Prober
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.errors import SpoolError
from dicomroute_gateway.spool.keys import NO_KEYS, Keys
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.studies.tracker import Tracker

from .following import Following
from .listeners import Listeners
from .problems import Problems
from .querying import Querying
from .telling import seen_of
from .transports import Transports
from .treating import Treating
from .watching import ServingCertificate, Watching

_POLL_SECONDS: Final = 0.5
_ROOM_PERCENT: Final = 2
"""How much of the spool below its watermark is kept free of what is owed to optional destinations alone."""
_ATTEMPTS_SECONDS: Final = 3.0
"""How long attempts under way may go on when the gateway ends: they are made again, and senders wait for the next."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Settings:
    """Where a gateway finds its things and where it listens; what the pod or `dicomroute run` decides.

    `ports` replaces the configured port of a listener by name. An admin port serves health and API together, over TLS
    where there is a certificate; a health port and an API port serve them apart, the API over TLS. `admin_bind` is the
    address of these ports; None: that of the listeners.
    """

    configuration: Path
    secrets: Path
    spool: Path
    admin_token: Path
    bind: str
    ports: Mapping[str, int] = field(default_factory=dict)
    admin_bind: str | None = None
    admin_port: int | None = None
    health_port: int | None = None
    api_port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open spool, and what stands on it."""

    spool: Spool
    deliverer: Deliverer
    prober: Prober
    queue: Queue
    ledger: LedgerView
    services: Services
    querying: Querying
    tokens: TokenCache
    treating: Treating
    committing: Committing
    feed: Feed
    studies: Tracker
    studies_view: StudiesView


class Gateway:
    """The gateway of one route."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started_time = time.time()
        self._problems = Problems()
        self._following = Following(
            settings.configuration,
            settings.spool,
            self._problems,
            ConfigurationSeal(settings.admin_token.with_name("configuration-key")),
        )
        self._watching = Watching(settings.secrets)
        self._certificate: ServingCertificate | None = None
        self._counts = Counts()
        self._measures = Measures()
        self._contexts = TlsContexts(settings.secrets)
        self._listeners = Listeners(
            self._following.configuration,
            self._counts,
            self._problems,
            settings.bind,
            settings.ports,
            self._contexts,
        )
        self._opened: _Opened | None = None
        self._credential_ends: dict[str, float] = {}
        self._draining = False
        self._fill_rate = FillRate()
        self._admin = AdminServer(
            self.observe,
            lambda: self._opened.queue if self._opened else None,
            lambda: self._opened.ledger if self._opened else None,
            settings.admin_token,
            self._measures,
            self._counts.callers.latest,
            lambda: self._opened.prober if self._opened else None,
            lambda: self._following.active.configuration if self._following.active else None,
            lambda: self._opened.studies_view if self._opened else None,
            lambda: self._opened.feed if self._opened else None,
            self._watching.content,
            lambda: self._opened.querying.persons if self._opened else None,
        )
        self.admin_port: int | None = None

    @property
    def ports(self) -> dict[str, int]:
        """The ports that are listened on, by listener."""
        return self._listeners.ports

    @property
    def is_ready(self) -> bool:
        """Whether the gateway receives: a configuration is loaded, its listeners are open, the spool is trusted and,
        where it encrypts, has its key.

        Neither the level of the spool nor the health of a destination counts: a sender is better told 0xA700 than
        left without an answer.
        """
        active, opened = self._following.active, self._opened
        if active is None or opened is None or self._draining or opened.spool.failure or opened.spool.keys.problem:
            return False
        return self._listeners.are_open(active.configuration)

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
                    self._tell()
                except Exception as error:
                    log.exception("configuration.failed")
                    sentence = f"{type(error).__name__}: the log says more"
                    self._problems.report("configuration", Reason.GATEWAY_ERROR, sentence)
        await self._drain()

    def observe(self) -> Observation:
        """Return how the gateway stands."""
        spool = self._opened.spool if self._opened else None
        problems = list(self._problems)
        if spool is not None and spool.failure:
            problems.append(
                ("spool", spool.failure_reason, f"{spool.failure}: fix the volume, then restart the gateway")
            )
        snapshot = spool.snapshot() if spool is not None and spool.is_loaded else None
        keys = spool.keys if spool is not None else NO_KEYS
        problems += key_findings(keys, snapshot.instances_by_key if snapshot else {})
        active = self._following.active
        return Observation(
            ready=self.is_ready,
            problems=problems,
            started_time=self._started_time,
            now=time.time(),
            loaded=self._following.loaded,
            listeners=self._listeners.observed(),
            associations=self._counts.snapshot(),
            snapshot=snapshot,
            keys=keys,
            activity=_activity(self._opened) if self._opened else {},
            fill_bytes_per_second=self._fill_rate.bytes_per_second,
            credential_ends=self._credential_ends,
            failing_archives=self._opened.querying.failing_archives() if self._opened and active else [],
            unmounted_secrets=self._watching.unmounted(active.configuration) if active else [],
        )

    async def _follow(self) -> None:
        """Take over a changed configuration, and open what could not be opened before."""
        if self._certificate is not None:
            self._certificate.follow()
        changed = self._following.reload()
        if self._following.active is None:
            return
        configuration = self._following.configuration()
        keys = self._watching.keys(configuration)
        if self._opened is None:
            self._opened = await self._open_spool(keys)
            changed = self._opened is not None
        if self._opened is None:
            return
        self._opened.spool.use_keys(keys)
        if changed:
            self._opened.spool.resize(
                configuration.spool.size_bytes,
                configuration.spool.high_watermark_percent,
                history_seconds=configuration.ledger.retention_seconds,
            )
            self._following.keep()
            self._opened.deliverer.reconsider()
        if changed or not self.is_ready:
            self._listeners.fit(self._opened.services)
        has_other_secrets = self._watching.has_changed(configuration)
        if changed or has_other_secrets:
            self._credential_ends = self._watching.ends(configuration)
        if has_other_secrets:
            self._opened.deliverer.hurry(None)
        self._opened.prober.follow()
        self._opened.treating.follow()

    async def _open_spool(self, keys: Keys) -> _Opened | None:
        """Return the spool with what stands on it; None while it cannot be opened, which is tried again."""
        settings, following = self._settings, self._following
        limits, ledger = following.configuration().spool, following.configuration().ledger
        try:
            spool = await asyncio.to_thread(
                Spool,
                settings.spool,
                limits.size_bytes,
                limits.high_watermark_percent,
                history_seconds=ledger.retention_seconds,
                keys=keys,
                has_trail=True,
            )
        except SpoolError as error:
            self._problems.report("spool", error.reason, str(error))
            return None
        except OSError as error:
            self._problems.report("spool", Reason.SPOOL_UNUSABLE, f"{settings.spool}: {error.strerror}")
            return None
        self._problems.solved("spool")
        tokens = TokenCache()
        preparing = Preparing(spool, settings.secrets)
        reports = Reports()
        transports = Transports(following.configuration, settings.secrets, tokens, preparing, self._contexts, reports)
        deliverer = Deliverer(
            spool, preparing, following.in_force, transports.to, self._measures, transports.confirmation_of
        )
        deliverer.start()
        querying = Querying(
            spool,
            following.configuration,
            settings.secrets,
            self._measures,
            preparing,
            self._contexts,
            lambda: set(self.ports.values()),
        )
        transactions = Transactions(spool, self._measures.commitments)
        committing = Committing(
            spool, transactions, following.configuration, self._contexts, self._measures.commitments
        )
        committing.start()
        tracker = Tracker(spool, lambda: following.configuration().studies, self._measures.studies)
        tracker.start()
        reception = Reception(spool, following.in_force, self._measures, tracker)
        ledger_view = LedgerView(spool, following.in_force)
        route = following.configuration().route
        source = source_of(route.namespace, route.name, os.uname().nodename)
        feed = Feed(spool, self._event_limits, source, self._measures.events)
        feed.start()
        return _Opened(
            spool,
            deliverer,
            Prober(following.configuration, settings.secrets, tokens, deliverer.workers, self._contexts),
            Queue(spool, deliverer, following.in_force),
            ledger_view,
            # Storage stands last: it takes private classes, whatever they are for.
            Services(
                [
                    VerificationService(),
                    CommitmentService(following.configuration, transactions, reports),
                    querying.find,
                    querying.retrieve,
                    StorageService(reception, self._measures),
                ]
            ),
            querying,
            tokens,
            Treating(spool, following.in_force),
            committing,
            feed,
            tracker,
            StudiesView(spool, ledger_view, following.in_force),
        )

    def _event_limits(self) -> tuple[EventLimits, int]:
        configuration = self._following.configuration()
        return configuration.events, configuration.spool.size_bytes

    def _tell(self) -> None:
        """Let the feed know how the gateway stands."""
        opened = self._opened
        if opened is None or self._following.active is None:
            return
        problems = list(self._problems)
        if opened.spool.failure:
            problems.append(("spool", opened.spool.failure_reason, ""))
        seen = seen_of(
            self._following,
            opened.spool,
            opened.deliverer.workers,
            opened.prober,
            problems,
            is_ready=self.is_ready,
            is_draining=self._draining,
            started=self._started_time,
            now=time.time(),
        )
        opened.feed.look(seen, self._counts.callers.latest())

    async def _watch_level(self) -> None:
        """Learn how fast the spool fills, and let optional destinations make room before anybody is refused."""
        if self._opened is None or not self._opened.spool.is_loaded:
            return
        spool = self._opened.spool
        level = spool.level()
        self._fill_rate.add(time.monotonic(), level.used)
        room = level.watermark - level.capacity * _ROOM_PERCENT // 100
        if level.used <= room:
            return
        if skipped := await asyncio.to_thread(spool.decisions.skip, self._following.in_force().optional, room):
            log.warning("spool.skipped", deliveries=skipped, reason="optional destinations made room")

    async def _start_admin(self) -> None:
        settings = self._settings
        start = partial(self._admin.start, settings.bind if settings.admin_bind is None else settings.admin_bind)
        tls = None
        if settings.api_port is not None or settings.tls_certificate is not None:
            self._certificate = ServingCertificate(settings.tls_certificate, settings.tls_key)
            self._certificate.follow()
            tls = self._certificate.context
        if settings.admin_port is not None:
            self.admin_port = await start(settings.admin_port, health=True, api=True, tls=tls)
        if settings.health_port is not None:
            self.admin_port = await start(settings.health_port, health=True, api=False)
        if settings.api_port is not None:
            await start(settings.api_port, health=False, api=True, tls=tls)

    async def _drain(self) -> None:
        """End in order: no new associations, each message under way answered, attempts ended, the spool closed."""
        self._draining = True
        active, opened = self._following.active, self._opened
        timeout = active.configuration.drain_timeout_seconds if active else 0
        log.info("gateway.draining", timeout_seconds=timeout)
        if opened is not None:
            opened.spool.end_waiting()
            opened.querying.end()
        endings = self._listeners.drain(timeout)
        if opened is not None:
            endings.append(opened.prober.stop())
            endings.append(opened.treating.stop())
            endings.append(asyncio.to_thread(opened.committing.stop))
            endings.append(asyncio.to_thread(opened.studies.stop))
            endings.append(opened.deliverer.stop(min(timeout, _ATTEMPTS_SECONDS)))
        await asyncio.gather(*endings)
        if opened is not None:
            await opened.tokens.close()
        if opened is not None:
            self._tell()
            await asyncio.to_thread(opened.feed.close)
        await self._admin.stop()
        if opened is not None:
            await asyncio.to_thread(opened.querying.close)
            await asyncio.to_thread(opened.spool.close)
        log.info("gateway.stopped", pid=os.getpid())


def _activity(opened: _Opened) -> dict[Destination, DestinationActivity]:
    return {
        destination: DestinationActivity(
            worker.in_flight,
            worker.last_error,
            worker.is_waiting,
            worker.paused,
            worker.warnings,
            opened.prober.probed(destination),
            opened.prober.findings(destination),
        )
        for destination, worker in opened.deliverer.workers.items()
    }
