"""Places at which a log can be kept: every `Log` passes the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from skep.store.log import Log
from skep.store.sqlite import SqliteLog
from skep.testing.memory_log import MemoryLog, SharedDisk


class Place(Protocol):
    """Where a log is kept."""

    def log(self) -> Log:
        """Another manager's way to it. Closed by the fixture."""
        ...

    def forget_early(self) -> None:
        """From now on commits are not kept for followers that are several behind."""
        ...


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
