"""What the spool says of studies, and what is decided of them: a part of its door."""

from collections.abc import Iterable

from dicomroute_gateway.configuration.study import WaitPlan

from .books import Books
from .formats import STUDIES, Format
from .records import DeliveryState, Received, StudyRecord
from .views import Owed


class StudyDoor:
    """The studies in the books of one spool. Safe to use from several threads."""

    def __init__(self, books: Books, form: Format) -> None:
        self._books = books
        self._format = form

    def need(self, received: Received) -> None:
        """Let no gateway open the spool that would not know studies, where an instance counts for one.

        Raises SpoolFailed.
        """
        if received.modality is not None:
            self._format.need(STUDIES)

    def keep_plans(self, plans: Iterable[WaitPlan]) -> None:
        """Write down what deliveries are to wait for, so that later records may name it. Raises SpoolFailed."""
        for plan in plans:
            self._books.raise_if_failed()
            self._format.need(STUDIES)
            with self._books.mutex:
                self._books.keep_plan(plan)

    def open(self) -> list[StudyRecord]:
        """Return how the studies stand that are open, without their series and modalities; none before all is read."""
        with self._books.mutex:
            if not self._books.is_loaded:
                return []
            return [study.record for study in self._books.ledger.studies.open.values()]

    def all(self) -> list[StudyRecord]:
        """Return how all studies stand that are known: complete ones first, those completed first before others."""
        with self._books.mutex:
            return list(self._books.ledger.studies.records())

    def get(self, uid: str) -> StudyRecord | None:
        """Return how a study stands, None for one that is not known."""
        with self._books.mutex:
            found = self._books.ledger.studies.get(uid)
            return found.written() if found is not None else None

    def awaited_plans(self, uid: str) -> dict[str, str]:
        """Return what deliveries of an open study wait for: the form of each plan by its id."""
        with self._books.mutex:
            ledger, study = self._books.ledger, self._books.ledger.studies.open.get(uid)
            waiting = [ledger.entries[one] for one in study.waiting if one in ledger.entries] if study else []
            deliveries = (one for entry in waiting for one in entry.deliveries.values())
            named = {one.plan for one in deliveries if one.state is DeliveryState.WAITING}
            return {one: ledger.plans.get(one, "") for one in named}

    def complete(self, record: StudyRecord) -> list[Owed]:
        """Write down that a study is complete, and what that means for what waited; return what is to be sent now.

        `sync` makes it safe, and only then `offer` lets it go out. Raises SpoolFailed.
        """
        self._books.raise_if_failed()
        self._format.need(STUDIES)
        with self._books.mutex:
            return self._books.complete_study(record)

    def sync(self) -> None:
        """Return when all that was written down is on stable storage. Raises SpoolFailed."""
        self._books.sync()

    def offer(self, owed: list[Owed]) -> None:
        """Let deliveries be made that have become due."""
        self._books.offer(owed)
