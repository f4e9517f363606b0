"""The archives that the configuration names, each with the connections that it keeps."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.query.archive import Archive
from dicomroute_gateway.query.cloud_target import CloudTargetArchive
from dicomroute_gateway.query.loop import QueryLoop
from dicomroute_gateway.query.watched import ArchiveHealth, ArchiveWatch, Failing, WatchedArchive
from dicomroute_gateway.spool.fetched import FetchedFiles


class Archives:
    """Archives by their names. Safe to use from several threads."""

    def __init__(self, configuration: Callable[[], Configuration], secrets: Path, files: FetchedFiles) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._files = files
        self._lock = threading.Lock()
        self._loop: QueryLoop | None = None
        self._archives: dict[Destination, CloudTargetArchive] = {}
        self._health = ArchiveHealth()
        self._watch = ArchiveWatch(self, self._health)

    def __call__(self) -> Sequence[Archive]:
        """Return those of the configuration in force, as they are configured now, the preferred one first."""
        found = self._configuration().query_retrieve
        listed = found.archives if found is not None else []
        return [WatchedArchive(self._archive(one), self._health) for one in listed]

    def failing(self) -> list[Failing]:
        """Return the archives that did not answer when they were asked last."""
        found = self._configuration().query_retrieve
        return self._health.failing([one.key for one in found.archives] if found is not None else [])

    def close(self) -> None:
        """End all connections. Nothing is asked any more."""
        self._watch.close()
        if self._loop is not None:
            self._loop.close(*(one.close() for one in self._archives.values()))

    def _archive(self, settings: CloudTargetDestination) -> CloudTargetArchive:
        name = settings.key
        with self._lock:
            self._loop = self._loop or QueryLoop()
            kept = self._archives.get(name)
            if kept is None:
                kept = CloudTargetArchive(name, settings, self._secrets, self._loop, self._files)
                self._archives[name] = kept
            kept.configure(settings, required=settings.required)
        return kept
