"""The store's log in one SQLite file: the embedded default, for a cluster with one manager.

Write-ahead logging with full sync: a commit that was answered survives a power cut. SQLite is
called on one thread of its own, because it blocks; the objects are rows of msgpack by kind and id.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from skep.kit.errors import SkepError, Unavailable
from skep.store.form import decode
from skep.store.log import Record, Snapshot

_T = TypeVar("_T")

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER);
INSERT OR IGNORE INTO revision VALUES (1, 0);
"""


class SqliteLog:
    """A `Log` in the file `path` (mode 0600: it holds the cluster's keys)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    async def load(self) -> Snapshot:
        return await self._call(self._load)

    async def append(self, revision: int, records: Sequence[Record]) -> None:
        await self._call(lambda: self._append(revision, records))

    async def close(self) -> None:
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

    def _load(self) -> Snapshot:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(
                f"it was written by a newer skep (format {found}, this one knows {_SCHEMA_VERSION})"
            )
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        revision = connection.execute("SELECT number FROM revision").fetchone()[0]
        if not isinstance(revision, int):
            raise sqlite3.DatabaseError("it is damaged: restore it from a backup")
        rows = connection.execute("SELECT kind, id, body FROM objects")
        return Snapshot(revision, [decode(*row) for row in rows])

    def _append(self, revision: int, records: Sequence[Record]) -> None:
        connection = self._connection
        if connection is None:
            raise sqlite3.ProgrammingError("it is not open")
        puts = [record for record in records if record.body is not None]
        drops = [(record.kind, record.id) for record in records if record.body is None]
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", puts)
            connection.executemany("DELETE FROM objects WHERE kind = ? AND id = ?", drops)
            connection.execute("UPDATE revision SET number = ?", (revision,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends it before we do
                connection.execute("ROLLBACK")
            raise

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
