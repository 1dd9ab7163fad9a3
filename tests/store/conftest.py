"""Places at which a log can be kept, and both stores: every `Log` passes the same tests, and every
`Store`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.store.log import Log
from skep.store.primary import Primary
from skep.store.replica import Replica
from skep.store.sqlite import SqliteLog
from skep.testing.logs import MemoryLog, Place, SharedDisk


class OnDisk:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._monkeypatch = monkeypatch
        self.logs: list[Log] = []

    def log(self) -> Log:
        self.logs.append(SqliteLog(self._path))
        return self.logs[-1]

    def forget_early(self) -> None:
        self._monkeypatch.setattr("skep.store.sqlite._FOLD_BYTES", 1)
        self._monkeypatch.setattr("skep.store.sqlite._POLL_S", 0.3)


class InMemory:
    def __init__(self) -> None:
        self.disk = SharedDisk()
        self.logs: list[Log] = []

    def log(self) -> Log:
        self.logs.append(MemoryLog(self.disk))
        return self.logs[-1]

    def forget_early(self) -> None:
        self.disk.keeps = 1


@pytest.fixture(params=["sqlite", "memory"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    place: OnDisk | InMemory
    place = OnDisk(tmp_path / "log.db", monkeypatch) if request.param == "sqlite" else InMemory()
    yield place
    for log in place.logs:
        await log.close()


@pytest.fixture(params=["primary", "replica"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Primary | Replica]:
    """An empty one on the disk, that takes commits: who writes, or who passes them on."""
    primary = Primary(SqliteLog(tmp_path / "store.db"))
    await primary.start()
    replica = Replica(SqliteLog(tmp_path / "store.db"), primary.commit)
    await replica.start()
    yield primary if request.param == "primary" else replica
    await replica.close()
    await primary.close()
