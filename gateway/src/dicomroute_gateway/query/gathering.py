"""What a retrieval is of: listed at the spool and all archives, united, and fetched from the first that gives it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .archive import (
    Archive,
    ArchiveFailed,
    Check,
    Fetched,
    InstanceReference,
    NotFetched,
    Scope,
    TooManyCandidates,
)
from .search import Failure
from .tally import MOST_SUB_OPERATIONS, Listed


@dataclass
class Gathering:
    """The instances of one scope. `sources` are asked in order for an instance that several have: the spool first."""

    sources: Sequence[Archive]
    scope: Scope
    check: Check
    timeout_seconds: float
    failures: list[Failure] = field(default_factory=list)
    _of_source: list[dict[str, InstanceReference]] = field(default_factory=list)

    @property
    def sop_instance_uids(self) -> list[str]:
        """What was listed, each once."""
        return list(dict.fromkeys(uid for of_one in self._of_source for uid in of_one))

    @property
    def count(self) -> int:
        """How many instances were listed."""
        return len(self.sop_instance_uids)

    @property
    def references(self) -> Iterator[InstanceReference]:
        """What was listed, at each source."""
        return (one for of_one in self._of_source for one in of_one.values())

    @property
    def listed(self) -> Listed:
        """How far it is known what there is."""
        if any(one.required for one in self.failures) or len(self.failures) == len(self.sources):
            return Listed.NOT_KNOWN
        return Listed.SOME if self.failures else Listed.ALL

    def list(self, found: Callable[[int], None]) -> None:
        """Ask every source what it has; `found` is told how many instances are known so far.

        Failures are noted, and what others have is retrieved all the same. Raises what `check` raises, and TooMany.
        """
        known: set[str] = set()
        for source in self.sources:
            of_this: dict[str, InstanceReference] = {}
            self._of_source.append(of_this)
            try:
                for page in source.instances(self.scope, self.check, self.timeout_seconds):
                    of_this.update((one.sop_instance_uid, one) for one in page)
                    known.update(one.sop_instance_uid for one in page)
                    if len(known) > MOST_SUB_OPERATIONS:
                        raise TooManyCandidates(
                            f"more than {MOST_SUB_OPERATIONS} instances: retrieve them in several requests"
                        )
                    found(len(known))
            except TooManyCandidates:
                raise
            except ArchiveFailed as error:
                self.failures.append(Failure(source.name, source.required, error))

    def fetch(self, folder: Path) -> Iterator[Fetched | NotFetched]:
        """Yield each instance that was listed once, fetched from the first source that gives it, or not at all."""
        wanted = dict.fromkeys(self.sop_instance_uids)
        for number, (source, of_this) in enumerate(zip(self.sources, self._of_source, strict=True)):
            later = self._of_source[number + 1 :]
            references = [one for uid, one in of_this.items() if uid in wanted]
            for result in source.fetch(references, folder, self.check, self.timeout_seconds) if references else ():
                uid = result.reference.sop_instance_uid
                if isinstance(result, Fetched) or not any(uid in of_other for of_other in later):
                    wanted.pop(uid, None)
                    yield result
