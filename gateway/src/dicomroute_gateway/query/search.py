"""One query put to the archives and the spool: what they say is matched again, told once, and made one."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from dicomroute_gateway.decoded import Attributes

from .answers import lacks, merged
from .archive import Archive, ArchiveFailed, Query
from .asking import Asking
from .matching import Matcher
from .models import OF_LEVELS_ABOVE, unique_keys


@dataclass(frozen=True, slots=True)
class Match:
    """An entity that matches. `lacks`: not everything that was asked for is known of it."""

    entity: Attributes
    lacks: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An archive that did not answer, or not to the end."""

    archive: str
    required: bool
    error: ArchiveFailed


@dataclass
class Search:
    """A query, put to archives in order: the next one is asked after an empty or a failed answer. The spool always is.

    What the spool holds of an entity is united with what an archive says of it.
    """

    archives: Sequence[Archive]
    spool: Archive | None
    query: Query
    most: int
    """After so many matches and one nobody reads on."""
    asked: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Whether what was found is not all: an archive that is required did not answer, or none did."""
        return any(one.required for one in self.failures) or (
            bool(self.asked) and len(self.failures) == len(self.asked)
        )

    def matches(self) -> Iterator[Match]:
        """Yield what matches, each entity once. Failures of archives are noted; what the check raises passes."""
        if not self.archives:
            if self.spool is not None:
                yield from (match for _key, match in self._of(self.spool, self.spool.find(self.query)))
            return
        own: dict[tuple[str, ...], Match] = {}
        if self.spool is not None:
            for key, match in self._of(self.spool, self.spool.find(self.query)):
                own[key] = match
                if len(own) > self.most:
                    break
        with closing(Asking(self.archives, self.query).archives()) as asked:
            for archive, pages in asked:
                is_empty = True
                for key, match in self._of(archive, pages):
                    is_empty = False
                    mine = own.pop(key, None)
                    yield match if mine is None else Match(merged(match.entity, mine.entity), match.lacks)
                if not is_empty:
                    break
        yield from own.values()

    def _of(self, archive: Archive, pages: Iterator[Sequence[Attributes]]) -> Iterator[tuple[tuple[str, ...], Match]]:
        """Yield what an archive says that really matches, by what tells it from others."""
        level, known = self.query.level, archive.known_keys(self.query.level)
        keys = self.query.keys if known is None else {tag: key for tag, key in self.query.keys.items() if tag in known}
        matchers: dict[frozenset[int], Matcher] = {}

        def matches(entity: Attributes) -> bool:
            # What a server does not repeat of the patient and the study of a series is no reason to leave it out.
            unsaid = frozenset(tag for tag in keys.keys() & OF_LEVELS_ABOVE[level] if tag not in entity)
            if unsaid not in matchers:
                said = {tag: key for tag, key in keys.items() if tag not in unsaid}
                combined = self.query.has_combined_date_time
                matchers[unsaid] = Matcher(said, has_combined_date_time=combined)
            return matchers[unsaid].matches(entity)

        seen: set[tuple[str, ...]] = set()
        self.asked.append(archive.name)
        try:
            for page in pages:
                self.query.check()
                for entity in page:
                    key = unique_keys(level, entity)
                    if key is None or key in seen or not matches(entity):
                        continue
                    seen.add(key)
                    yield key, Match(entity, lacks(self.query.keys, entity, known))
        except ArchiveFailed as error:
            self.failures.append(Failure(archive.name, archive.required, error))
