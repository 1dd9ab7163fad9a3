"""One agent's session: it is told what changed for its node, as fast as it takes it.

What waits to be said is a set of ids or a few short words, never a queue of assignments: an agent
that is slow or stuck gets the sum of what it missed. Only `tell` and calls write to the line, so
nobody waits for the agent but who asks it something.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from msgspec.structs import replace

from skep.kit.pace import Pacer
from skep.manager.dispatcher.assignments import (
    News,
    Told,
    complete,
    difference,
    in_parts,
)
from skep.protocol.calls import Calls, Stream
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.messages import (
    Chunk,
    Credit,
    End,
    FromAgent,
    FromManager,
    Goodbye,
    Reference,
    Standing,
    StandingChanged,
    Welcome,
)
from skep.store.change import View

_OF_CALLS = (Chunk, Credit, End)
_GOODBYE_S = 2.0
HELLO_S = 10.0
"""An agent that says nothing for so long is hung up on."""


class AgentSession:
    """The manager's side of one agent's line. `tell` runs until the line closes."""

    def __init__(
        self,
        session_id: str,
        node_id: str,
        link: ManagerLink,
        view: Callable[[], View],
        standing: Callable[[], Standing],
        turns: Pacer,
    ) -> None:
        self.id = session_id
        self.node_id = node_id
        self._link = link
        self._view = view
        self._standing = standing
        self._turns = turns
        self._told = Told()
        self._sequence = 0
        self._tasks: set[str] = set()
        self._things: set[Reference] = set()
        self._told_standing: Standing | None = None
        self._standing_dirty = False
        self._words: deque[FromManager] = deque()
        self._goodbye: Goodbye | None = None
        self._turn: asyncio.Future[None] | None = None
        self._news = asyncio.Event()
        self._calls: Calls | None = None

    # What is to be said

    def task_changed(self, task_id: str) -> None:
        self._tasks.add(task_id)
        self._news.set()

    def thing_changed(self, thing: Reference) -> None:
        """Of what tasks need; no news where none of this node's does."""
        if thing in self._told.uses:
            self._things.add(thing)
            self._news.set()

    def standing_changed(self) -> None:
        self._standing_dirty = True
        self._news.set()

    def everything_changed(self) -> None:
        """Changes were missed: compare all that the agent knows with all that is."""
        self._tasks.update(task.id for task in self._view().tasks_of_node(self.node_id))
        self._tasks.update(self._told.tasks)
        self._things.update(self._told.things)
        self.standing_changed()

    def say(self, word: FromManager) -> None:
        """A short word. Who calls this has a bound on how many of them there can be."""
        self._words.append(word)
        self._news.set()

    def end(self, reason: str, *, removed: bool = False) -> None:
        """Say why and close, soon: a stuck agent is not waited for."""
        if self._goodbye is None:
            self._goodbye = Goodbye(reason, removed)
            self._news.set()
            if self._turn is not None and not self._turn.done():
                self._turn.set_result(None)
            asyncio.get_running_loop().call_later(_GOODBYE_S, self._link.close)

    async def tell(self) -> None:
        """Welcome the agent, then keep it informed. Raises LinkClosed at the end."""
        self._told_standing = self._standing()
        await self._link.send(Welcome(self.id, self._told_standing))
        news, self._told = complete(self._view(), self.node_id)
        await self._assign(news)
        while self._goodbye is None:
            await self._news.wait()
            self._turn = self._turns.next()
            await self._turn  # what changes meanwhile is told together
            self._news.clear()
            await self._tell_news()
        await self._link.send(self._goodbye)
        raise LinkClosed(self._goodbye.reason)

    async def _tell_news(self) -> None:
        while self._words:
            await self._link.send(self._words.popleft())
        await self._tell_standing()
        tasks, self._tasks = self._tasks, set()
        things, self._things = self._things, set()
        news, self._told = difference(self._view(), self.node_id, self._told, tasks, things)
        if news is not None:
            await self._assign(news)

    async def _tell_standing(self) -> None:
        if not self._standing_dirty:
            return
        self._standing_dirty = False
        standing = self._standing()
        if standing != self._told_standing:
            self._told_standing = standing
            await self._link.send(StandingChanged(standing))

    async def _assign(self, news: News) -> None:
        for part in in_parts(news):
            applies_to, self._sequence = self._sequence, self._sequence + 1
            await self._link.send(replace(part, applies_to=applies_to, results_in=self._sequence))

    # What is heard

    async def listen(self, take: Callable[[FromAgent], None]) -> None:
        """Give the agent's words to `take`, but for those of calls. Raises LinkClosed at the end.

        Nothing here waits: while it did, heartbeats would lie unread.
        """

        def sort(message: FromAgent) -> None:
            if not isinstance(message, _OF_CALLS):
                take(message)
            elif self._calls is not None:
                self._calls.take(message)

        await self._link.each(sort)

    def call(self, request: msgspec.Struct) -> AbstractAsyncContextManager[Stream]:
        """Ask the node's engine."""
        return self._opened_calls().call(request)

    async def close(self) -> None:
        """Nobody hears the agent any more: calls to it end. The line is its opener's to close."""
        await self._opened_calls().close(f"node {self.node_id} went away")

    def _opened_calls(self) -> Calls:
        """Most sessions make no call: what it takes is made for the first."""
        if self._calls is None:
            self._calls = Calls(self._link.send)
        return self._calls


async def decline(link: ManagerLink, reason: str) -> None:
    """There is no session for who calls. Its Hello is heard first: who is still speaking would not
    hear why."""
    try:
        async with asyncio.timeout(HELLO_S):
            await link.receive()
    except (LinkClosed, TimeoutError):
        link.close()
    else:
        await turn_away(link, reason)


async def turn_away(link: ManagerLink, reason: str, *, removed: bool = False) -> None:
    """Say why there is no session, and close."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await link.send(Goodbye(reason, removed))
    except (LinkClosed, TimeoutError):
        pass
    link.close()
