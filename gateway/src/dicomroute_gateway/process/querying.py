"""What answers queries, composed: the catalogue of the spool, the archives of the configuration, the service."""

from collections.abc import Callable
from pathlib import Path

from dicomroute_gateway.catalogue.feed import Catalogue
from dicomroute_gateway.configuration.model import Configuration, QueryMode
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.query.find import FindService
from dicomroute_gateway.query.spool_archive import SpoolArchive
from dicomroute_gateway.spool.fetched import FetchedFiles, forget
from dicomroute_gateway.spool.spool import Spool

from .archives import Archives


class Querying:
    """Queries of one gateway. While the configuration has none, nothing of this is at work."""

    def __init__(
        self, spool: Spool, configuration: Callable[[], Configuration], secrets: Path, measures: Measures
    ) -> None:
        self._configuration = configuration
        self.folder = forget(spool.folder)
        """Where instances are put that were fetched from an archive."""
        self.files = FetchedFiles(lambda: spool.is_encrypted, lambda: _has_room(spool))
        self._archives = Archives(configuration, secrets, self.files)
        self._catalogue = Catalogue(spool, self._asks_spool)
        self.find = FindService(configuration, self._archives, SpoolArchive(spool, self._catalogue), measures)
        self._catalogue.start()

    def end(self) -> None:
        """End what is under way: the gateway shuts down."""
        self.find.close()

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
