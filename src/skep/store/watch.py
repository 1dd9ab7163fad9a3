"""A watch of the store: every commit since it began, in order, from a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from skep.kit.errors import SkepError
from skep.store.change import Commit

_MAX_UNREAD = 100_000


class Lagged(SkepError):
    """A watcher fell too far behind: it must read the view afresh and watch again."""


class Watch:
    """Every commit since the watch began, in order. Iterate, or take with `next_nowait`."""

    def __init__(self, forget: Callable[[Watch], None]) -> None:
        self._forget = forget
        self._unread: deque[Commit] = deque()
        self._news = asyncio.Event()
        self._lagged = False

    def publish(self, commit: Commit) -> None:
        if len(self._unread) >= _MAX_UNREAD:
            self.lag()
        elif not self._lagged:
            self._unread.append(commit)
        self._news.set()

    def lag(self) -> None:
        """Commits were missed."""
        self._lagged = True
        self._unread.clear()
        self._news.set()

    def next_nowait(self) -> Commit | None:
        """The next commit, or None when all were taken. Raises Lagged."""
        if self._lagged:
            raise Lagged("the watch fell behind: read the view again")
        if self._unread:
            return self._unread.popleft()
        self._news.clear()
        return None

    async def wait(self) -> None:
        """Return when there is something to take."""
        await self._news.wait()

    async def __aiter__(self) -> AsyncIterator[Commit]:
        while True:
            commit = self.next_nowait()
            if commit is None:
                await self.wait()
            else:
                yield commit

    def close(self) -> None:
        self._forget(self)


class Watches:
    """Everybody who watches one store."""

    def __init__(self) -> None:
        self._all: set[Watch] = set()

    def watch(self) -> Watch:
        watch = Watch(self._all.discard)
        self._all.add(watch)
        return watch

    def publish(self, commit: Commit) -> None:
        for watch in self._all:
            watch.publish(commit)

    def lag(self) -> None:
        """All of them must read the view anew."""
        for watch in self._all:
            watch.lag()
