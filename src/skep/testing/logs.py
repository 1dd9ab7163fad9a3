"""A log without a disk, for tests of the store: several managers may share one, and it fails as a
real one does, when it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from skep.kit.errors import Unavailable
from skep.store.form import Bodies, decode
from skep.store.log import Compacted, Entry, Fenced, Log, Snapshot, Unknown, check_order

Fault = Literal["refused", "lost before it was stored", "lost after it was stored"]


class SharedDisk:
    """What the logs of several managers have in common. `keeps` is how many commits it keeps for
    followers (None: all)."""

    def __init__(self) -> None:
        self.epoch = 0
        self.entries: list[Entry] = []
        self.keeps: int | None = None
        self.news = asyncio.Event()

    @property
    def forgotten(self) -> int:
        """The newest commit that followers cannot have any more."""
        return 0 if self.keeps is None else max(0, len(self.entries) - self.keeps)

    def add(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        self.wake()

    def wake(self) -> None:
        """Followers look again."""
        self.news.set()
        self.news = asyncio.Event()


class MemoryLog:
    """A `Log` on a shared disk. `faults` are what becomes of the next appends; `appending` while
    one is on its way."""

    def __init__(self, disk: SharedDisk | None = None) -> None:
        self.disk = disk or SharedDisk()
        self.faults: deque[Fault] = deque()
        self.appending = False
        self._open = True
        self._cut = False

    async def lead(self) -> int:
        self._check_open()
        self.disk.epoch += 1
        return self.disk.epoch

    async def load(self) -> Snapshot:
        self._check_open()
        bodies = Bodies(lambda _: None)
        for entry in self.disk.entries:
            bodies.add(entry)
        found = bodies.items()
        return Snapshot(
            len(self.disk.entries), [decode(*key, body) for key, body in found if body is not None]
        )

    async def append(self, epoch: int, entries: Sequence[Entry]) -> None:
        self._check_open()
        self.appending = True
        await asyncio.sleep(0)
        self.appending = False
        if epoch != self.disk.epoch:
            raise Fenced("another manager writes now")
        check_order(len(self.disk.entries), entries)
        match self.faults.popleft() if self.faults else None:
            case "refused":
                raise Unavailable("the disk is full")
            case "lost before it was stored":
                raise Unknown("the line was cut")
            case "lost after it was stored":
                self.disk.add(entries)
                raise Unknown("the line was cut")
            case None:
                self.disk.add(entries)

    async def follow(self, revision: int) -> AsyncIterator[Sequence[Entry]]:
        while True:
            self._check_open()
            if revision < self.disk.forgotten:
                raise Compacted(f"the commits after {revision} are not kept any more")
            if self._cut:
                raise Unavailable("the line to the log is cut")
            news = self.disk.news
            if entries := self.disk.entries[revision : revision + 10]:
                revision = entries[-1].revision
                yield entries
            else:
                await news.wait()

    def cut(self) -> None:
        """Followers hear nothing any more."""
        self._cut = True
        self.disk.wake()

    def mend(self) -> None:
        self._cut = False

    async def close(self) -> None:
        self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the log is closed")


class Place(Protocol):
    """Where a log is kept."""

    def log(self) -> Log:
        """Another manager's way to it. Closed by who made the place."""
        ...

    def forget_early(self) -> None:
        """From now on commits are not kept for followers that are several behind."""
        ...
