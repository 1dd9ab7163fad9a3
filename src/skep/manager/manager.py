"""One manager: its copy of the store, what it answers, the port at which nodes and strangers call.

What only the leader does is in `leadership.py`. Whoever needs the leader asks here (`serve`,
`call`), and need not know whether this manager leads.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from skep.kit.clock import SteadyClock
from skep.kit.errors import SkepError, Unavailable
from skep.kit.jobs import Jobs, forever
from skep.manager.ca.authority import Authority
from skep.manager.ca.registrar import Registrar
from skep.manager.control import Control
from skep.manager.dispatcher.session import decline
from skep.manager.leadership import Leadership
from skep.manager.logs import ServiceLogs
from skep.manager.reception import Reception
from skep.protocol.calls import Stream
from skep.protocol.link import AgentLink, ManagerLink, local_link
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog

ANOTHER_LEADS = "another manager leads"
_STORE_FAILED = "the manager's store failed"
_STOPS = "the manager stops"
_NO_LEADER = "no manager leads here now: try again in a moment"


class Manager:
    """`start` before use; `lead` and `follow` as its turns come; `run` until cancelled; `close` at
    the end. Between two turns it answers what can be read, and writes nothing of its own.

    What is stamped and waited for goes by one clock, which never goes back, not between two runs
    either. Certificates go by the wall clock, as TLS does.
    """

    def __init__(self, state: Path, clock: SteadyClock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self.store = Primary(SqliteLog(state / "store.db"), self._clock)
        self.control = Control(self.store, Authority(), clock=self._clock)
        self.registrar = Registrar(self.store)
        self.logs = ServiceLogs(self.store, self.call)
        self.reception = Reception(lambda: self.store.view, self.registrar, self.serve)
        self.leadership: Leadership | None = None
        self._not_leading = ANOTHER_LEADS
        self._jobs = Jobs()

    @property
    def leads(self) -> bool:
        return self.leadership is not None

    async def start(self) -> None:
        """Read the store. Raises Unavailable when it cannot be read."""
        await self.store.start()

    async def lead(self) -> None:
        """Begin to lead, unless it does. Raises Unavailable when the store cannot be written."""
        if self.leadership is not None:
            return
        leadership = Leadership(self.store, self.registrar, self._clock)
        await leadership.begin()
        self.leadership = leadership

    async def follow(self, reason: str = ANOTHER_LEADS) -> None:
        """Lead no more: agents are told the reason, and seek the leader."""
        leadership, self.leadership = self.leadership, None
        self._not_leading = reason
        if leadership is not None:
            await leadership.end(reason)

    async def listen(self, address: str, context: Callable[[], ssl.SSLContext]) -> None:
        """Take callers at `address` (host:port). Raises Unavailable when it is taken."""
        await self.reception.open(address, context)

    async def run(self) -> None:
        """Raises when the store can take nothing more, and leads no more then: a manager that only
        seems to decide is worse than none."""
        self._jobs.start(forever("the story", self.control.story.run), "the story")
        try:
            await self.store.stands()
        except SkepError:
            await self.follow(_STORE_FAILED)
            raise

    async def close(self) -> None:
        """The leading ends first: while lines are closed nobody may be called lost."""
        await self.follow(_STOPS)
        await self.reception.close()
        await self._jobs.close()
        await self.store.close()

    # What is the leader's affair

    def connect(self, node_id: str, addr: str) -> AgentLink:
        """A line for this node's own agent, inside the process."""
        near, far = local_link()
        session = self._jobs.start(self.serve(far, node_id, addr), "this node's own session")
        session.add_done_callback(lambda _: far.close())  # it may have been ended before it began
        return near

    async def serve(self, link: ManagerLink, node_id: str, addr: str) -> None:
        """Speak with the agent of `node_id` (its identity is the line's business) to the end."""
        if self.leadership is None:
            await decline(link, self._not_leading)
        else:
            await self.leadership.dispatcher.serve(link, node_id, addr)

    def call(self, node_id: str, request: msgspec.Struct) -> AbstractAsyncContextManager[Stream]:
        """Ask a node's engine. Raises Unavailable when nobody leads here, or the node has no
        session."""
        if self.leadership is None:
            raise Unavailable(_NO_LEADER)
        return self.leadership.dispatcher.call(node_id, request)
