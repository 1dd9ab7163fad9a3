"""What an agent must know after its own restart, with no manager in sight: one small SQLite file.

It holds the tasks assigned to the node, the newest status of each, and the node's networks. It is
called on one thread of its own, because SQLite blocks.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from skep.kit.errors import UNDECODABLE
from skep.kit.files import set_aside
from skep.model.network import Network
from skep.model.node import Node
from skep.model.task import Task, TaskStatus

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, task BLOB NOT NULL, status BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, network BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS node (only INTEGER PRIMARY KEY CHECK (only = 1), node BLOB NOT NULL);
"""


class Remembered(msgspec.Struct, frozen=True):
    node: Node | None
    tasks: list[tuple[Task, TaskStatus]]
    networks: list[Network]


_NODE, _TASK = msgspec.msgpack.Decoder(Node), msgspec.msgpack.Decoder(Task)
_STATUS, _NETWORK = msgspec.msgpack.Decoder(TaskStatus), msgspec.msgpack.Decoder(Network)
"""Made once, before a thread reads with them (see engine/containers/record.py)."""


class Disk:
    """The agent's file. Mode 0600: specs may hold what should not be read by others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agent-disk")
        self._connection: sqlite3.Connection | None = None

    async def load(self) -> Remembered:
        """What was remembered; nothing when the file is damaged. (A manager tells it all again, and
        containers are found by their names.)"""
        return await self._call(self._load)

    async def assign(
        self,
        tasks: Iterable[tuple[Task, TaskStatus]],
        removed_tasks: Iterable[str],
        networks: Iterable[Network],
        removed_networks: Iterable[str],
    ) -> None:
        encode = msgspec.msgpack.encode
        task_rows = [(task.id, encode(task), encode(status)) for task, status in tasks]
        network_rows = [(network.id, encode(network)) for network in networks]
        await self._call(
            lambda: self._write(
                ("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)", task_rows),
                ("DELETE FROM tasks WHERE id = ?", [(t,) for t in removed_tasks]),
                ("INSERT OR REPLACE INTO networks VALUES (?, ?)", network_rows),
                ("DELETE FROM networks WHERE id = ?", [(n,) for n in removed_networks]),
            )
        )

    async def report(self, statuses: dict[str, TaskStatus]) -> None:
        rows = [(msgspec.msgpack.encode(status), task) for task, status in statuses.items()]
        await self._call(lambda: self._write(("UPDATE tasks SET status = ? WHERE id = ?", rows)))

    async def set_node(self, node: Node) -> None:
        row = (msgspec.msgpack.encode(node),)
        await self._call(lambda: self._write(("INSERT OR REPLACE INTO node VALUES (1, ?)", [row])))

    async def close(self) -> None:
        if self._connection is not None:
            await self._call(self._connection.close)
            self._connection = None
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self) -> Remembered:
        try:
            return self._read()
        except (sqlite3.DatabaseError, TypeError, *UNDECODABLE) as error:
            if self._connection is not None:
                self._connection.close()
            set_aside(self._path, error, "the manager tells anew what it held")
            for suffix in ("-wal", "-shm"):  # of the old file: they would be read into the new one
                rest = self._path.with_name(self._path.name + suffix)
                if rest.exists():
                    set_aside(rest, "it goes with that file", "nothing is lost")
            return self._read()

    def _read(self) -> Remembered:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        node = connection.execute("SELECT node FROM node").fetchone()
        return Remembered(
            node=_NODE.decode(node[0]) if node else None,
            tasks=[
                (_TASK.decode(task), _STATUS.decode(status))
                for task, status in connection.execute("SELECT task, status FROM tasks ORDER BY id")
            ],
            networks=[
                _NETWORK.decode(network)
                for (network,) in connection.execute("SELECT network FROM networks ORDER BY id")
            ],
        )

    def _write(self, *statements: tuple[str, Sequence[Sequence[object]]]) -> None:
        connection = self._connection
        if connection is None:
            raise sqlite3.ProgrammingError("the agent's file is not open")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk ends it before we do
                connection.execute("ROLLBACK")
            raise
