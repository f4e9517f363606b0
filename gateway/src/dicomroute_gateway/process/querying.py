"""What answers queries and retrievals, composed: the catalogue of the spool, archives, and the services."""

import socket
from collections.abc import Callable, Collection
from pathlib import Path

from dicomroute_gateway.catalogue.feed import Catalogue
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.queries import QueryMode
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.query.find import FindService
from dicomroute_gateway.query.person import ForPersons
from dicomroute_gateway.query.retrieve import Means, RetrieveService
from dicomroute_gateway.query.spool_archive import SpoolArchive
from dicomroute_gateway.query.watched import Failing
from dicomroute_gateway.spool.fetched import FetchedFiles, forget
from dicomroute_gateway.spool.spool import Spool

from .archives import Archives


class Querying:
    """Queries of one gateway. While the configuration has none, nothing of this is at work."""

    def __init__(
        self,
        spool: Spool,
        configuration: Callable[[], Configuration],
        secrets: Path,
        measures: Measures,
        preparing: Preparing,
        contexts: TlsContexts,
        ports: Callable[[], Collection[int]],
    ) -> None:
        """`ports` returns those that the gateway listens on."""
        self._configuration = configuration
        files = FetchedFiles(lambda: spool.is_encrypted, lambda: _has_room(spool))
        self._archives = Archives(configuration, secrets, files)
        self._catalogue = Catalogue(spool, self._asks_spool)
        of_spool = SpoolArchive(spool, self._catalogue)
        self.find = FindService(configuration, self._archives, of_spool, measures)
        means = Means(
            self._archives,
            of_spool,
            preparing,
            files,
            forget(spool.folder),
            contexts,
            measures,
            lambda host, port: port in ports() and _is_here(host),
        )
        self.retrieve = RetrieveService(configuration, means)
        self.persons = ForPersons(self.find, self.retrieve, configuration)
        self._catalogue.start()

    def failing_archives(self) -> list[Failing]:
        """Return the archives that did not answer when they were asked last."""
        return self._archives.failing()

    def end(self) -> None:
        """End what is under way: the gateway shuts down."""
        self.find.close()
        self.retrieve.close()

    def close(self) -> None:
        """Return when nothing here needs the spool any more."""
        self._archives.close()
        self._catalogue.close()

    def _asks_spool(self) -> bool:
        found = self._configuration().query_retrieve
        return found is not None and found.mode is QueryMode.RUNNING and found.include_spool


def _has_room(spool: Spool) -> bool:
    level = spool.level()
    return level.used < level.watermark


def _is_here(host: str) -> bool:
    """Return whether a host is this machine, as far as its addresses say: those that can be bound to are."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(address)
            except OSError:
                continue
            return True
    return False
