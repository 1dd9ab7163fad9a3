"""The line between a manager and an agent, as either end sees it, and its in-process form.

`send` waits while the other end is slow: a link has a bound, and whoever writes to it decides
what to do meanwhile (the dispatcher gathers changes, the agent gathers statuses).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from skep.kit.errors import SkepError, Unavailable
from skep.protocol.messages import FromAgent, FromManager

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)
_T = TypeVar("_T")
_Out = TypeVar("_Out")
_In = TypeVar("_In")

_BOUND = 64


class LinkClosed(Unavailable):
    """The other end is gone, or this end was closed."""

    def __init__(self, reason: str = "the line was closed") -> None:
        super().__init__(reason)


class Unsendable(SkepError):
    """The message fits no frame; nothing of it was sent, and the line stands."""


class MessageTooLarge(Unsendable):
    """No reader would take the message."""


class Link(Protocol[Out_contra, In_co]):
    async def send(self, message: Out_contra) -> None:
        """Raises LinkClosed, also when the other end takes nothing for long, and Unsendable.

        One sender's messages arrive in order; those of several senders are never mixed up.
        """
        ...

    async def receive(self) -> In_co:
        """The next message, in the order sent. Raises LinkClosed."""
        ...

    async def each(self, take: Callable[[In_co], None]) -> None:
        """Give every message from now on to `take`, which does not wait. Raises LinkClosed at the
        end, or what `take` raised, which ends the line."""
        ...

    def close(self) -> None:
        """Both ends see LinkClosed from now on. Idempotent."""
        ...


AgentLink = Link[FromAgent, FromManager]
ManagerLink = Link[FromManager, FromAgent]


class _Pipe(Generic[_T]):
    """One direction: a bounded queue that can be closed, with one sender and one receiver or a few
    of each."""

    def __init__(self) -> None:
        self._messages: deque[_T] = deque()
        self._has_room = asyncio.Event()
        self._has_news = asyncio.Event()
        self._has_room.set()
        self._closed = False

    async def put(self, message: _T) -> None:
        while len(self._messages) >= _BOUND and not self._closed:
            self._has_room.clear()
            await self._has_room.wait()
        if self._closed:
            raise LinkClosed
        self._messages.append(message)
        self._has_news.set()

    async def get(self) -> _T:
        while not self._messages:
            if self._closed:
                raise LinkClosed
            self._has_news.clear()
            await self._has_news.wait()
        self._has_room.set()
        return self._messages.popleft()

    def close(self) -> None:
        self._closed = True
        self._has_room.set()
        self._has_news.set()


class _End(Generic[_Out, _In]):
    def __init__(self, out: _Pipe[_Out], into: _Pipe[_In]) -> None:
        self._out = out
        self._into = into

    async def send(self, message: _Out) -> None:
        await self._out.put(message)

    async def receive(self) -> _In:
        return await self._into.get()

    async def each(self, take: Callable[[_In], None]) -> None:
        while True:
            take(await self._into.get())

    def close(self) -> None:
        self._out.close()
        self._into.close()


def local_link() -> tuple[AgentLink, ManagerLink]:
    """The agent's and the manager's end of a line inside one process."""
    up: _Pipe[FromAgent] = _Pipe()
    down: _Pipe[FromManager] = _Pipe()
    return _End(up, down), _End(down, up)
