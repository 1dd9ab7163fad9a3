"""What an agent must know after its own restart, with no manager in sight: one small SQLite file.

It holds what is assigned to the node (tasks, and what they need, but nothing volatile) and the
newest status of each task. It is called on one thread of its own, because SQLite blocks.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from skep.agent.kinds import NETWORK, TASK, body_of
from skep.kit.errors import UNDECODABLE
from skep.kit.files import set_aside
from skep.model.node import Node
from skep.model.task import Task, TaskStatus
from skep.protocol.messages import Assigned, Reference

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS assigned (
    kind TEXT, id TEXT, version INTEGER NOT NULL, body BLOB NOT NULL, needs BLOB NOT NULL,
    status BLOB, PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS node (only INTEGER PRIMARY KEY CHECK (only = 1), node BLOB NOT NULL);
"""
_ASSIGN = """
INSERT INTO assigned (kind, id, version, body, needs) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body, needs = excluded.needs
"""
_NO_NEEDS = msgspec.msgpack.encode([])
_FROM_VERSION_1 = (
    ("tasks", f"INSERT OR IGNORE INTO assigned SELECT '{TASK}', id, 0, task, ?, status FROM tasks"),
    (
        "networks",
        f"INSERT OR IGNORE INTO assigned SELECT '{NETWORK}', id, 0, network, ?, NULL FROM networks",
    ),
)
"""Before version 2 of the protocol each kind had a table, and no task said what it needs."""


class Remembered(msgspec.Struct, frozen=True):
    """`tasks` with what each needs, `things` that tasks need."""

    node: Node | None
    tasks: list[tuple[Task, tuple[Reference, ...], TaskStatus]]
    things: dict[Reference, Any]


_NODE, _STATUS = msgspec.msgpack.Decoder(Node), msgspec.msgpack.Decoder(TaskStatus)
_NEEDS = msgspec.msgpack.Decoder(tuple[Reference, ...])
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

    async def assign(self, assigned: Iterable[Assigned], removed: Iterable[Reference]) -> None:
        """Remember these, but for what is volatile; forget those. A task keeps its status."""
        encode = msgspec.msgpack.encode
        rows = [
            (each.kind, each.id, each.version, each.body, encode(each.needs))
            for each in assigned
            if not each.volatile
        ]
        gone = [(each.kind, each.id) for each in removed]
        await self._call(
            lambda: self._write(
                (_ASSIGN, rows),
                ("DELETE FROM assigned WHERE kind = ? AND id = ?", gone),
            )
        )

    async def report(self, statuses: dict[str, TaskStatus]) -> None:
        """Of a task that was forgotten meanwhile nothing is kept."""
        encode = msgspec.msgpack.encode
        rows = [(encode(status), TASK, task_id) for task_id, status in statuses.items()]
        update = "UPDATE assigned SET status = ? WHERE kind = ? AND id = ?"
        await self._call(lambda: self._write((update, rows)))

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
        self._take_over()
        node = connection.execute("SELECT node FROM node").fetchone()
        tasks, things = [], {}
        for kind, id_, version, body, needs, status in connection.execute(
            "SELECT kind, id, version, body, needs, status FROM assigned ORDER BY kind, id"
        ):
            row = (kind, id_, version, body, _NEEDS.decode(needs))
            assigned = msgspec.convert(row, Assigned)
            thing = body_of(assigned)
            if kind == TASK:
                known = thing.status if status is None else _STATUS.decode(status)
                tasks.append((thing, assigned.needs, known))
            else:
                things[Reference(kind, id_)] = thing
        return Remembered(_NODE.decode(node[0]) if node else None, tasks, things)

    def _take_over(self) -> None:
        """What an older skep remembered, in the tables of that time."""
        connection = self._opened()
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        for table, statement in _FROM_VERSION_1:
            if table in found:
                connection.execute(statement, (_NO_NEEDS,))
                connection.execute(f"DROP TABLE {table}")

    def _write(self, *statements: tuple[str, Sequence[Sequence[object]]]) -> None:
        connection = self._opened()
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

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the agent's file is not open")
        return self._connection
