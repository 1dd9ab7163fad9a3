"""The tables of the log in a file (`sqlite.py`), and what is asked of them: plain functions over a
connection, called on the log's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from skep.store.form import Key
from skep.store.log import Entry, Unknown

DAMAGED = "it is damaged: restore it from a backup"

_SCHEMA_VERSION = 2
_OBJECTS = """
CREATE TABLE objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID
"""
_COMMITS = "CREATE TABLE commits (revision INTEGER PRIMARY KEY, body BLOB NOT NULL)"
_STATE = """
CREATE TABLE state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch INTEGER NOT NULL, folded INTEGER NOT NULL, forgotten INTEGER NOT NULL
)
"""


class State(NamedTuple):
    """`epoch` is the writer's, `folded` the newest commit that is in `objects`, `forgotten` the
    newest that is not among the commits any more."""

    epoch: int
    folded: int
    forgotten: int


def opened(path: Path) -> sqlite3.Connection:
    """The file, made when it is not there, its tables brought to today's form. Raises sqlite3.Error
    for what is no such file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with transaction(database):
            _make_tables(database)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or none. Raises Unknown when not even SQLite can tell which of them it was."""
    database.execute(begin)
    try:
        yield
    except BaseException:
        if database.in_transaction:  # a full disk ends it before we do
            database.execute("ROLLBACK")
        raise
    try:
        database.execute("COMMIT")
    except sqlite3.Error as error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        elif error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise Unknown(f"the disk failed while it stored a change: {error}") from error
        raise


def _make_tables(database: sqlite3.Connection) -> None:
    """Version 1 kept the objects alone, rewritten whole at each change."""
    match database.execute("PRAGMA user_version").fetchone()[0]:
        case 0:
            database.execute(_OBJECTS)
            revision = 0
        case 1:
            revision = database.execute("SELECT number FROM revision").fetchone()[0]
            if not isinstance(revision, int):
                raise sqlite3.DatabaseError(DAMAGED)
            database.execute("DROP TABLE revision")
        case version if version == _SCHEMA_VERSION:
            return
        case version:
            raise sqlite3.DatabaseError(
                f"it was written by a newer skep (format {version}, "
                f"this one knows {_SCHEMA_VERSION})"
            )
    database.execute(_COMMITS)
    database.execute(_STATE)
    database.execute("INSERT INTO state VALUES (1, 0, ?, ?)", (revision, revision))
    database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def state(database: sqlite3.Connection) -> State:
    row = database.execute("SELECT epoch, folded, forgotten FROM state").fetchone()
    if row is None or not all(isinstance(number, int) for number in row):
        raise sqlite3.DatabaseError(DAMAGED)
    return State(*row)


def entries(database: sqlite3.Connection, revision: int) -> Iterator[Entry]:
    """All after that revision."""
    query = "SELECT revision, body FROM commits WHERE revision > ? ORDER BY revision"
    return map(Entry._make, database.execute(query, (revision,)))


def newest(database: sqlite3.Connection) -> int:
    """The revision of the newest commit."""
    found = database.execute("SELECT max(revision) FROM commits").fetchone()[0]
    return state(database).folded if found is None else int(found)


def put(database: sqlite3.Connection, rows: Sequence[tuple[str, str, bytes | None]]) -> None:
    """Write the bodies; those that are None are gone."""
    kept = [row for row in rows if row[2] is not None]
    gone = [row[:2] for row in rows if row[2] is None]
    database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", kept)
    database.executemany("DELETE FROM objects WHERE kind = ? AND id = ?", gone)


def body(database: sqlite3.Connection, key: Key) -> bytes | None:
    """As it was folded last; None when there was none."""
    query = "SELECT body FROM objects WHERE kind = ? AND id = ?"
    row = database.execute(query, key).fetchone()
    return row[0] if row is not None else None


def forget(database: sqlite3.Connection, revision: int, at_once: int) -> bool:
    """Some of the commits up to `revision`; False when there was none."""
    query = (
        "DELETE FROM commits WHERE revision IN "
        "(SELECT revision FROM commits WHERE revision <= ? LIMIT ?)"
    )
    return bool(database.execute(query, (revision, at_once)).rowcount)
