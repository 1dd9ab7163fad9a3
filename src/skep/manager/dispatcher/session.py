"""One agent's session: it is told what changed for its node, as fast as it takes it.

What waits to be said is a set of task ids, never a queue of messages: an agent that is slow or
stuck gets the sum of what it missed, and holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import count

from skep.kit.errors import SkepError
from skep.manager.dispatcher.assignments import Told, complete, difference
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.messages import (
    Call,
    Cancel,
    Chunk,
    Credit,
    Done,
    FromAgent,
    Goodbye,
    LogFrame,
    Renewed,
    Request,
    Standing,
    StandingChanged,
    Welcome,
)
from skep.store.change import View

_CREDIT = 16
_GOODBYE_S = 2.0


class Session:
    """The manager's side of one agent's line. `tell` runs until the line closes."""

    def __init__(
        self, session_id: str, node_id: str, link: ManagerLink, view: Callable[[], View]
    ) -> None:
        self.id = session_id
        self.node_id = node_id
        self._link = link
        self._view = view
        self._dirty: set[str] = set()
        self._standing_dirty = False
        self._news = asyncio.Event()
        self._told = Told()
        self._calls: dict[int, asyncio.Queue[Chunk | Done]] = {}
        self._call_ids = count(1)

    def task_changed(self, task_id: str) -> None:
        self._dirty.add(task_id)
        self._news.set()

    def standing_changed(self) -> None:
        self._standing_dirty = True
        self._news.set()

    async def tell(self, standing: Callable[[], Standing]) -> None:
        """Welcome the agent, then keep it informed. Raises LinkClosed at the end."""
        await self._link.send(Welcome(self.id, standing()))
        message, self._told = complete(self._view(), self.node_id)
        await self._link.send(message)
        while True:
            await self._news.wait()
            self._news.clear()
            if self._standing_dirty:
                self._standing_dirty = False
                await self._link.send(StandingChanged(standing()))
            await self._tell_tasks()

    async def renewed(self, answer: Renewed) -> None:
        await self._link.send(answer)

    async def _tell_tasks(self) -> None:
        dirty, self._dirty = self._dirty, set()
        message, self._told = difference(self._view(), self.node_id, self._told, dirty)
        if message is not None:
            await self._link.send(message)

    async def receive(self) -> FromAgent:
        """The agent's next word that is not an answer to a call. Raises LinkClosed."""
        while True:
            message = await self._link.receive()
            if not isinstance(message, Chunk | Done):
                return message
            answers = self._calls.get(message.call_id)
            if answers is not None:
                answers.put_nowait(message)  # bounded by the credit we gave

    async def call(self, request: Request) -> AsyncGenerator[list[LogFrame], None]:
        """Ask the node's engine; yields what it answers. Raises LinkClosed or the node's error."""
        call_id = next(self._call_ids)
        answers: asyncio.Queue[Chunk | Done] = asyncio.Queue()
        self._calls[call_id] = answers
        finished = False
        try:
            await self._link.send(Call(call_id, request))
            await self._link.send(Credit(call_id, _CREDIT))
            while True:
                answer = await answers.get()
                if isinstance(answer, Done):
                    finished = True
                    if answer.error:
                        raise SkepError(answer.error)
                    return
                yield answer.frames
                await self._link.send(Credit(call_id, 1))
        finally:
            self._calls.pop(call_id, None)
            if not finished:
                await self._cancel(call_id)

    async def _cancel(self, call_id: int) -> None:
        try:
            await self._link.send(Cancel(call_id))
        except LinkClosed:
            pass

    async def end(self, reason: str) -> None:
        """Say why, and close. A stuck agent is not waited for."""
        try:
            await asyncio.wait_for(self._link.send(Goodbye(reason)), _GOODBYE_S)
        except (LinkClosed, TimeoutError):
            pass
        self.close()

    def close(self) -> None:
        self._link.close()
        for call_id, answers in self._calls.items():
            answers.put_nowait(Done(call_id, f"node {self.node_id} went away"))
