"""The index itself: SQLite, in a file or in memory, for the instances that are in the spool at this moment.

An entity of which instances say different things has a row for each; the oldest speaks for it. So what an instance
said goes with it, and nothing has to be read again when it does. Pages that held it are overwritten (`secure_delete`).
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomroute_gateway.decoded import Attributes, Element, Level

from . import keys
from .keys import KEPT, MODALITY, VRS

_VERSION: Final = 1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SCHEMA: Final = """
CREATE TABLE about (version INTEGER, boot TEXT);
CREATE TABLE study (
    key INTEGER PRIMARY KEY, uid TEXT NOT NULL, patient TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (uid, document)
);
CREATE TABLE series (
    key INTEGER PRIMARY KEY, uid TEXT NOT NULL, study TEXT NOT NULL, modality TEXT NOT NULL, document TEXT NOT NULL,
    UNIQUE (uid, study, document)
);
CREATE TABLE instance (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL, study INTEGER NOT NULL, series INTEGER NOT NULL, class TEXT NOT NULL,
    syntax TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX study_patient ON study (patient);
CREATE INDEX series_study ON series (study);
CREATE INDEX instance_uid ON instance (uid);
CREATE INDEX instance_study ON instance (study);
CREATE INDEX instance_series ON instance (series);
"""
_OLDER_STUDY: Final = "NOT EXISTS (SELECT 1 FROM study AS older WHERE older.{0} = study.{0} AND older.key < study.key)"
_OLDER_SERIES: Final = (
    "NOT EXISTS (SELECT 1 FROM series AS older WHERE older.uid = series.uid AND older.study = series.study "
    "AND older.key < series.key)"
)
_NEWER_INSTANCE: Final = (
    "NOT EXISTS (SELECT 1 FROM instance AS newer WHERE newer.uid = instance.uid AND newer.id > instance.id)"
)
_OF_INSTANCES: Final = (
    "FROM instance JOIN study ON study.key = instance.study JOIN series ON series.key = instance.series"
)
_SELECTS: Final = {
    Level.PATIENT: "SELECT study.key AS place, patient, '', '', document, '', '' FROM study "
    f"WHERE patient != '' AND {_OLDER_STUDY.format('patient')}",
    Level.STUDY: "SELECT study.key AS place, uid, '', '', document, '', '' FROM study "
    f"WHERE {_OLDER_STUDY.format('uid')}",
    Level.SERIES: "SELECT series.key AS place, series.uid, study.uid, '', study.document, series.document, '' "
    f"FROM series JOIN study ON study.uid = series.study WHERE {_OLDER_SERIES} AND {_OLDER_STUDY.format('uid')}",
    Level.IMAGE: "SELECT instance.id AS place, instance.uid, study.uid, series.uid, study.document, series.document, "
    f"instance.document {_OF_INSTANCES} WHERE {_NEWER_INSTANCE}",
}
"""Where instances of one entity differ, the oldest speaks for it; of versions of one instance the newest does."""
_COLUMNS: Final = {
    Level.PATIENT: {keys.PATIENT_ID: "patient", keys.STUDY_INSTANCE_UID: "uid"},
    Level.STUDY: {keys.PATIENT_ID: "patient", keys.STUDY_INSTANCE_UID: "uid"},
    Level.SERIES: {
        keys.PATIENT_ID: "study.patient",
        keys.STUDY_INSTANCE_UID: "series.study",
        keys.SERIES_INSTANCE_UID: "series.uid",
    },
    Level.IMAGE: {
        keys.PATIENT_ID: "study.patient",
        keys.STUDY_INSTANCE_UID: "study.uid",
        keys.SERIES_INSTANCE_UID: "series.uid",
        keys.SOP_INSTANCE_UID: "instance.uid",
    },
}
_MOST_VALUES: Final = 500
"""As many values of one key as a statement may name; SQLite takes at least 999 (SQLITE_MAX_VARIABLE_NUMBER)."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """An instance as it goes into the index."""

    id: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Located:
    """An instance in the index, by its number in the spool."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


class Damaged(Exception):
    """The index cannot be used any more: it is to be made anew."""


class Index:
    """One index. Safe to use from several threads, one at a time. All methods raise Damaged."""

    def __init__(self, path: Path | None) -> None:
        """Open the index at `path`, which is made where there is none that can be trusted; None: in memory."""
        self.path = path
        self._lock = threading.RLock()
        self._inode = 0
        try:
            self._connection = _connect(path)
            if path is not None:
                self._inode = path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            raise Damaged(str(error)) from error

    def close(self) -> None:
        """Close it."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def check(self) -> None:
        """Raise Damaged when its file is no longer there."""
        if self.path is not None:
            try:
                if self.path.stat().st_ino == self._inode:
                    return
            except OSError:
                pass
            raise Damaged("its file is gone")

    def ids(self) -> set[int]:
        """Return the numbers of all instances in it."""
        return {int(identifier) for (identifier,) in self._rows("SELECT id FROM instance", ())}

    def add(self, instances: Iterable[Indexed]) -> None:
        """Take instances in; one that is there is replaced."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN")
                    for one in instances:
                        self._add(one)
            except sqlite3.Error as error:
                raise Damaged(str(error)) from error

    def remove(self, identifiers: Sequence[int]) -> None:
        """Forget instances, and what they alone said of their series, studies and patients."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN")
                    for identifier in identifiers:
                        self._remove(identifier)
                # What was overwritten is in the write-ahead log still, as it was.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise Damaged(str(error)) from error

    def candidates(self, level: Level, named: Attributes, limit: int, after: int) -> list[tuple[int, Attributes]]:
        """Return up to `limit` entities of a level behind place `after`, with their places, which ascend.

        `named` are unique keys with the values that they may have; there may be more of them than those of `level`.
        """
        where, values = _where(level, named)
        statement = f"{_SELECTS[level]} AND {where} AND place > ? ORDER BY place LIMIT ?"
        return [_entity(level, row) for row in self._rows(statement, (*values, after, limit))]

    def modalities(self, study_uid: str) -> list[str]:
        """Return the modalities of a study's series."""
        rows = self._rows("SELECT DISTINCT modality FROM series WHERE study = ? ORDER BY modality", (study_uid,))
        return [str(modality) for (modality,) in rows if modality]

    def sop_classes(self, study_uid: str) -> list[str]:
        """Return the SOP classes of a study's instances."""
        statement = f"SELECT DISTINCT class {_OF_INSTANCES} WHERE study.uid = ? ORDER BY class"
        return [str(uid) for (uid,) in self._rows(statement, (study_uid,))]

    def counts(self, level: Level, unique_key: str) -> tuple[int, int, int]:
        """Return how many studies, series and instances there are of a patient, study or series."""
        column = {Level.PATIENT: "study.patient", Level.STUDY: "study.uid", Level.SERIES: "series.uid"}[level]
        counted = ", ".join(f"count(DISTINCT {table}.uid)" for table in ("study", "series", "instance"))
        statement = f"SELECT {counted} {_OF_INSTANCES} WHERE {column} = ?"
        ((studies, series, instances),) = self._rows(statement, (unique_key,))
        return int(studies), int(series), int(instances)

    def locate(self, named: Attributes, limit: int, after: int) -> list[Located]:
        """Return up to `limit` instances behind number `after`: of each SOP Instance UID the newest."""
        where, values = _where(Level.IMAGE, named)
        rows = self._rows(
            f"SELECT instance.id AS place, study.uid, series.uid, instance.uid, class, syntax {_OF_INSTANCES} "
            f"WHERE {_NEWER_INSTANCE} AND {where} AND place > ? ORDER BY place LIMIT ?",
            (*values, after, limit),
        )
        return [Located(int(row[0]), *map(str, row[1:])) for row in rows]

    def _add(self, one: Indexed) -> None:
        self._remove(one.id)
        study = {**_of(one.attributes, Level.PATIENT), **_of(one.attributes, Level.STUDY)}
        patient = one.attributes[keys.PATIENT_ID].text if keys.PATIENT_ID in one.attributes else ""
        modality = one.attributes[MODALITY].text if MODALITY in one.attributes else ""
        study_key = self._key("study", {"uid": one.study_instance_uid, "document": _text(study)}, {"patient": patient})
        series_key = self._key(
            "series",
            {
                "uid": one.series_instance_uid,
                "study": one.study_instance_uid,
                "document": _text(_of(one.attributes, Level.SERIES)),
            },
            {"modality": modality},
        )
        self._connection.execute(
            "INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                one.id,
                one.sop_instance_uid,
                study_key,
                series_key,
                one.sop_class_uid,
                one.transfer_syntax_uid,
                _text(_of(one.attributes, Level.IMAGE)),
            ),
        )

    def _key(self, table: str, unique: dict[str, str], more: dict[str, str]) -> int:
        where = " AND ".join(f"{column} = ?" for column in unique)
        found = self._connection.execute(f"SELECT key FROM {table} WHERE {where}", tuple(unique.values())).fetchone()
        if found is not None:
            return int(found[0])
        row = unique | more
        statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        return int(self._connection.execute(statement, tuple(row.values())).lastrowid or 0)

    def _remove(self, identifier: int) -> None:
        execute = self._connection.execute
        row = execute("SELECT study, series FROM instance WHERE id = ?", (identifier,)).fetchone()
        if row is None:
            return
        execute("DELETE FROM instance WHERE id = ?", (identifier,))
        for table, key in (("study", row[0]), ("series", row[1])):
            execute(
                f"DELETE FROM {table} WHERE key = ? AND NOT EXISTS (SELECT 1 FROM instance WHERE {table} = ?)",
                (key, key),
            )

    def _rows(self, statement: str, values: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise Damaged(str(error)) from error


def remove_files(path: Path) -> None:
    """Remove an index and what SQLite keeps beside it. Raises OSError."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path | None) -> sqlite3.Connection:
    """Return a connection to an index that can be trusted, a new and empty one where there is none."""
    boot = _BOOT_ID.read_text().strip()
    if path is not None and path.exists():
        try:
            connection = _opened(path)
            about = connection.execute("SELECT version, boot FROM about").fetchone()
            # Nothing is synced: after a loss of power it may be anything.
            if about == (_VERSION, boot) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return connection
            connection.close()
        except sqlite3.Error:
            pass
    if path is not None:
        remove_files(path)
        path.touch(0o600)
    connection = _opened(path)
    connection.executescript(_SCHEMA)
    connection.execute("INSERT INTO about VALUES (?, ?)", (_VERSION, boot))
    return connection


def _opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, check_same_thread=False)
    for pragma in ("secure_delete = ON", "journal_mode = WAL", "synchronous = OFF", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _where(level: Level, named: Attributes) -> tuple[str, list[str]]:
    terms, values = ["1"], list[str]()
    for tag, column in _COLUMNS[level].items():
        wanted = [one for one in named[tag].values if one] if tag in named else []
        if wanted and len(wanted) <= _MOST_VALUES:
            terms.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    return " AND ".join(terms), values


def _of(attributes: Attributes, level: Level) -> dict[int, Element]:
    return {tag: attributes[tag] for tag in KEPT[level] if tag in attributes}


def _text(attributes: Attributes) -> str:
    document = {f"{tag:08X}": list(element.values) for tag, element in attributes.items()}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _entity(level: Level, row: tuple[str | int, ...]) -> tuple[int, Attributes]:
    place, *uids = row[:4]
    found: dict[int, Element] = {}
    for document in row[4:]:
        for tag, values in json.loads(str(document) or "{}").items():
            number = int(tag, 16)
            found[number] = Element(VRS[number], tuple(values))
    if level is Level.PATIENT:
        found = {tag: element for tag, element in found.items() if tag in KEPT[Level.PATIENT]}
    tags = {
        Level.PATIENT: (keys.PATIENT_ID,),
        Level.STUDY: (keys.STUDY_INSTANCE_UID,),
        Level.SERIES: (keys.SERIES_INSTANCE_UID, keys.STUDY_INSTANCE_UID),
        Level.IMAGE: (keys.SOP_INSTANCE_UID, keys.STUDY_INSTANCE_UID, keys.SERIES_INSTANCE_UID),
    }[level]
    for tag, uid in zip(tags, uids, strict=False):
        found[tag] = Element(VRS[tag], (str(uid),))
    return int(place), found
