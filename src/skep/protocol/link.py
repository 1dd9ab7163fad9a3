"""The line between a manager and an agent, as either end sees it, and its in-process form.

`send` waits while the other end is slow: a link has a bound, and whoever writes to it decides
what to do meanwhile (the dispatcher gathers changes, the agent gathers statuses).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from skep.kit.errors import Unavailable
from skep.protocol.messages import FromAgent, FromManager

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)
_T = TypeVar("_T")
_Out = TypeVar("_Out")
_In = TypeVar("_In")

_BOUND = 64


class LinkClosed(Unavailable):
    """The other end is gone, or this end was closed."""

    def __init__(self, reason: str = "the line between manager and agent was closed") -> None:
        super().__init__(reason)


class Link(Protocol[Out_contra, In_co]):
    async def send(self, message: Out_contra) -> None:
        """Raises LinkClosed."""
        ...

    async def receive(self) -> In_co:
        """The next message, in the order sent. Raises LinkClosed."""
        ...

    def close(self) -> None:
        """Both ends see LinkClosed from now on. Idempotent."""
        ...


AgentLink = Link[FromAgent, FromManager]
ManagerLink = Link[FromManager, FromAgent]


class _Pipe(Generic[_T]):
    """One direction: a bounded queue that can be closed."""

    def __init__(self) -> None:
        self._messages: deque[_T] = deque()
        self._changed = asyncio.Condition()
        self.closed = False

    async def put(self, message: _T) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed or len(self._messages) < _BOUND)
            if self.closed:
                raise LinkClosed
            self._messages.append(message)
            self._changed.notify_all()

    async def get(self) -> _T:
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed or self._messages)
            if not self._messages:
                raise LinkClosed
            message = self._messages.popleft()
            self._changed.notify_all()
            return message

    def close(self) -> None:
        self.closed = True
        asyncio.ensure_future(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _End(Generic[_Out, _In]):
    def __init__(self, out: _Pipe[_Out], into: _Pipe[_In]) -> None:
        self._out = out
        self._into = into

    async def send(self, message: _Out) -> None:
        await self._out.put(message)

    async def receive(self) -> _In:
        return await self._into.get()

    def close(self) -> None:
        for pipe in (self._out, self._into):
            if not pipe.closed:
                pipe.close()


def local_link() -> tuple[AgentLink, ManagerLink]:
    """The agent's and the manager's end of a line inside one process."""
    up: _Pipe[FromAgent] = _Pipe()
    down: _Pipe[FromManager] = _Pipe()
    return _End(up, down), _End(down, up)
