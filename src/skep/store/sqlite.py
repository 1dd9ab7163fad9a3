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

import msgspec

from skep.kit.errors import Unavailable
from skep.kit.files import UNDECODABLE
from skep.store.change import KINDS, Commit, Stored
from skep.store.log import Snapshot

_T = TypeVar("_T")

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER);
INSERT OR IGNORE INTO revision VALUES (1, 0);
"""


_DECODERS = {kind: msgspec.msgpack.Decoder(cls) for kind, cls in KINDS.items()}
"""Made once, before a thread reads with them (see engine/containers/record.py)."""


class SqliteLog:
    """A `Log` in the file `path` (mode 0600: it holds the cluster's keys)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._encoder = msgspec.msgpack.Encoder()

    async def load(self) -> Snapshot:
        return await self._call(self._load)

    async def append(self, commits: Sequence[Commit]) -> None:
        await self._call(lambda: self._append(commits))

    async def close(self) -> None:
        if self._connection is not None:
            await self._call(self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
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
        try:
            objects: list[Stored] = [
                _DECODERS[kind].decode(body)
                for kind, body in connection.execute("SELECT kind, body FROM objects")
            ]
        except (KeyError, TypeError, *UNDECODABLE) as error:
            raise sqlite3.DatabaseError(
                f"it is damaged, or a newer skep wrote it ({error}): restore it from a backup"
            ) from error
        if not isinstance(revision, int):
            raise sqlite3.DatabaseError("it is damaged: restore it from a backup")
        return Snapshot(revision, objects)

    def _append(self, commits: Sequence[Commit]) -> None:
        connection = self._connection
        if connection is None:
            raise sqlite3.ProgrammingError("it is not open")
        puts: list[tuple[str, str, bytes]] = []
        drops: list[tuple[str, str]] = []
        last = {
            (event.kind, (event.new or event.old).id): event.new  # type: ignore[union-attr]
            for commit in commits
            for event in commit.events
        }
        for (kind, object_id), new in last.items():
            if new is None:
                drops.append((kind, object_id))
            else:
                puts.append((kind, object_id, self._encoder.encode(new)))
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", puts)
            connection.executemany("DELETE FROM objects WHERE kind = ? AND id = ?", drops)
            connection.execute("UPDATE revision SET number = ?", (commits[-1].revision,))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
