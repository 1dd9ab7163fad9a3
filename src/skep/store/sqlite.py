"""The store's log in one SQLite file: the embedded default, for a cluster with one manager.

Write-ahead logging with full sync: a commit that was answered survives a power cut. SQLite is
called on one thread of its own, because it blocks.

A commit is one row at the end of the table `commits`, and nothing else: an object is not looked up,
so what it costs does not grow with what is stored. When enough of them have come together they are
folded into the table `objects`, a little at a time between appends, and the ones that were folded
the time before are forgotten. A reader adds the commits after `folded` to the objects; of those
some may be newer than `folded` already, which does no harm (`form.Bodies`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from skep.kit.errors import SkepError, Unavailable
from skep.store.form import Bodies, Key, decode
from skep.store.log import Compacted, Entry, Fenced, Snapshot, Unknown, check_order

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_FOLD_BYTES = 32 << 20
"""Commits that come together before they are folded: what a start reads besides the objects. As
much again is kept for followers."""
_FOLD_ROWS = 500
_READ_BYTES = 256 << 10
"""What is done at once of either, a few milliseconds' work, and read at once for a follower."""
_POLL_S = 0.05

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


class _State(NamedTuple):
    """`epoch` is the writer's, `folded` the newest commit that is in `objects`, `forgotten` the
    newest that is not among the commits any more."""

    epoch: int
    folded: int
    forgotten: int


class SqliteLog:
    """A `Log` in the file `path` (mode 0600: it holds the cluster's keys)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._unfolded_bytes = 0
        self._folding: asyncio.Task[None] | None = None

    async def lead(self) -> int:
        return await self._call(self._lead)

    async def load(self) -> Snapshot:
        return await self._call(self._load)

    async def append(self, epoch: int, entries: Sequence[Entry]) -> None:
        await self._call(lambda: self._append(epoch, entries))
        self._unfolded_bytes += sum(len(entry.body) for entry in entries)
        if self._unfolded_bytes > _FOLD_BYTES and self._folding is None:
            self._folding = asyncio.create_task(self._fold(epoch), name="store fold")

    async def follow(self, revision: int) -> AsyncIterator[Sequence[Entry]]:
        while True:
            entries = await self._call(lambda: self._after(revision))  # noqa: B023  awaited here
            if entries:
                revision = entries[-1].revision
                yield entries
            else:
                await asyncio.sleep(_POLL_S)

    async def close(self) -> None:
        if self._folding is not None:
            self._folding.cancel()
            await asyncio.gather(self._folding, return_exceptions=True)
        if self._connection is not None:
            await self._call(self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SkepError:
            raise
        except Exception as error:
            raise Unavailable(
                f"the cluster's store {self._path} cannot be used: {error}. "
                "Check the disk (space, permissions) and restart skep"
            ) from error

    async def _fold(self, epoch: int) -> None:
        size, steps = self._unfolded_bytes, self._fold_steps(epoch)
        try:
            while not await self._call(lambda: next(steps, True)):
                pass
        except SkepError as error:
            log.error("commits cannot be folded, trying again later: %s", error)
        finally:
            self._unfolded_bytes -= size
            self._folding = None

    # On the thread

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            with _transaction(database):
                _make_tables(database)
        except BaseException:
            database.close()
            raise
        return database

    def _lead(self) -> int:
        database = self._database
        with _transaction(database):
            epoch = _state(database).epoch + 1
            database.execute("UPDATE state SET epoch = ?", (epoch,))
        return epoch

    def _load(self) -> Snapshot:
        database = self._database
        with _transaction(database, "BEGIN"):
            folded = _state(database).folded
            bodies = Bodies(lambda _: None)
            for kind, object_id, body in database.execute("SELECT kind, id, body FROM objects"):
                bodies.put((kind, object_id), body)
            revision, size = folded, 0
            for entry in _entries(database, folded):
                if entry.revision != revision + 1:
                    raise sqlite3.DatabaseError(_DAMAGED)
                bodies.add(entry)
                revision, size = entry.revision, size + len(entry.body)
        self._unfolded_bytes = size
        found = bodies.items()
        return Snapshot(revision, [decode(*key, body) for key, body in found if body is not None])

    def _append(self, epoch: int, entries: Sequence[Entry]) -> None:
        with self._leading(epoch) as database:
            check_order(_newest(database), entries)
            database.executemany("INSERT INTO commits VALUES (?, ?)", entries)

    @contextmanager
    def _leading(self, epoch: int) -> Iterator[sqlite3.Connection]:
        """A transaction of the writer of that epoch. Raises Fenced when there is a newer one."""
        database = self._database
        with _transaction(database):
            if _state(database).epoch != epoch:
                raise Fenced(f"another manager writes to the cluster's store {self._path} now")
            yield database

    def _after(self, revision: int) -> list[Entry]:
        database = self._database
        with _transaction(database, "BEGIN"):
            if revision < _state(database).forgotten:
                raise Compacted(f"the commits after {revision} are not kept any more")
            return list(_some(_entries(database, revision)))

    def _fold_steps(self, epoch: int) -> Iterator[bool]:
        """Folds all commits of now; yields False after each short step of it."""
        database = self._database
        revision = before = _state(database).folded
        newest = _newest(database)
        bodies = Bodies(self._body)
        while revision < newest:
            for entry in self._after(revision):
                bodies.add(entry)
                revision = entry.revision
            yield False
        found = bodies.items()
        while rows := [(*key, body) for key, body in islice(found, _FOLD_ROWS)]:
            with self._leading(epoch):
                _put(database, rows)
            yield False
        with self._leading(epoch):
            database.execute("UPDATE state SET folded = ?, forgotten = ?", (revision, before))
        yield False
        while self._forget(epoch, before):
            yield False

    def _body(self, key: Key) -> bytes | None:
        query = "SELECT body FROM objects WHERE kind = ? AND id = ?"
        row = self._database.execute(query, key).fetchone()
        return row[0] if row is not None else None

    def _forget(self, epoch: int, revision: int) -> bool:
        """Some of the commits up to `revision`; False when none is left."""
        with self._leading(epoch) as database:
            return bool(
                database.execute(
                    "DELETE FROM commits WHERE revision IN "
                    "(SELECT revision FROM commits WHERE revision <= ? LIMIT ?)",
                    (revision, _FOLD_ROWS),
                ).rowcount
            )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_DAMAGED = "it is damaged: restore it from a backup"


@contextmanager
def _transaction(database: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
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
                raise sqlite3.DatabaseError(_DAMAGED)
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


def _state(database: sqlite3.Connection) -> _State:
    row = database.execute("SELECT epoch, folded, forgotten FROM state").fetchone()
    if row is None or not all(isinstance(number, int) for number in row):
        raise sqlite3.DatabaseError(_DAMAGED)
    return _State(*row)


def _entries(database: sqlite3.Connection, revision: int) -> Iterator[Entry]:
    """All after that revision."""
    query = "SELECT revision, body FROM commits WHERE revision > ? ORDER BY revision"
    return map(Entry._make, database.execute(query, (revision,)))


def _some(entries: Iterator[Entry]) -> Iterator[Entry]:
    """As many as are read in a moment, at least one."""
    size = 0
    while size < _READ_BYTES and (entry := next(entries, None)) is not None:
        size += len(entry.body)
        yield entry


def _newest(database: sqlite3.Connection) -> int:
    """The revision of the newest commit."""
    found = database.execute("SELECT max(revision) FROM commits").fetchone()[0]
    return _state(database).folded if found is None else int(found)


def _put(database: sqlite3.Connection, rows: Sequence[tuple[str, str, bytes | None]]) -> None:
    """Write the bodies; those that are None are gone."""
    kept = [row for row in rows if row[2] is not None]
    gone = [row[:2] for row in rows if row[2] is None]
    database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", kept)
    database.executemany("DELETE FROM objects WHERE kind = ? AND id = ?", gone)
