"""The node's side of the line: opens a session, keeps it, and opens the next when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from skep.agent.disk import Disk
from skep.agent.engine_check import EngineCheck
from skep.agent.executor import Executor
from skep.agent.identity import Expired, Identity
from skep.agent.reporter import Reporter
from skep.agent.roster import Roster
from skep.agent.session import ManagerSession, Removed
from skep.agent.worker import Worker
from skep.kit.backoff import Backoff
from skep.kit.errors import SkepError
from skep.kit.jobs import forever, until_one_ends
from skep.model.fitting import fitting
from skep.model.node import NodeDescription
from skep.protocol.link import AgentLink, LinkClosed
from skep.protocol.messages import Assignments, Statuses

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0
_HEALTHY_S = 10.0
"""A session that lasted so long was a good one: the next try comes soon."""
_BARRED_RETRY_S = 60.0

Connect = Callable[[], Awaitable[AgentLink]]


class Agent:
    """`start`, then `run` until cancelled, then `close`. Containers outlive all of it."""

    def __init__(
        self,
        node_id: str,
        executor: Executor,
        identity: Identity,
        roster: Roster,
        state: Path,
        connect: Connect,
    ) -> None:
        self._executor = executor
        self._identity = identity
        self._roster = roster
        self._connect = connect
        self._disk = Disk(state / "agent.db")
        self._reporter = Reporter(self._disk, self._report)
        self._pulse = EngineCheck(executor.answers)
        self._session: ManagerSession | None = None
        self._problem = ""
        self._was_connected = False
        self.worker = Worker(node_id, executor, self._disk, self._reporter)
        self.connected = asyncio.Event()
        """Set while a manager knows all that this node knows."""
        self.barred = False
        """No manager will have this node any more: it was removed, or its certificate expired."""

    @property
    def problem(self) -> str:
        """Why there is no session, in words; "" while there is one."""
        return "" if self.connected.is_set() else self._pulse.problem or self._problem

    @property
    def was_connected(self) -> bool:
        """A manager had this node in its cluster since we started."""
        return self._was_connected or self.connected.is_set()

    async def start(self) -> None:
        await self.worker.load()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever("the agent's reporter", self._reporter.run))
            group.create_task(forever("the agent's worker", self.worker.run))
            group.create_task(forever("the agent's look at its engine", self._pulse.run))
            group.create_task(self._sessions(), name="agent sessions")

    async def leave(self) -> None:
        """Tell the manager, if there is one, that this node goes; ends within seconds."""
        if self._session is not None:
            await self._session.say_farewell()

    async def close(self) -> None:
        await self.worker.close()
        await self._disk.close()

    async def _sessions(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S, random.Random())
        while True:
            began = time.monotonic()
            await self._try_session()
            if time.monotonic() - began > _HEALTHY_S:
                backoff.reset()
            await asyncio.sleep(_BARRED_RETRY_S if self.barred else backoff.next_s())

    async def _try_session(self) -> None:
        """One session to its end. Nothing that goes wrong in it ends the agent."""
        await self._pulse.there()
        try:
            link = await self._connect()
            self.barred = False
            await self._hold(link)
        except Removed as error:
            self._explain(error, barred=True)
            await self._end_everything()
        except SkepError as error:
            self._explain(error, barred=isinstance(error, Expired))
        except Exception as error:
            log.exception("the session with the manager failed")
            self._problem = f"internal error: {error}"

    async def _hold(self, link: AgentLink) -> None:
        self._session = session = ManagerSession(
            link,
            self.worker,
            self._identity,
            self._roster,
            self._describe,
            self.connected,
            random.Random(),
        )
        try:
            await until_one_ends(session.run(), self._pulse.lost())
        finally:
            self._session = None
            self._was_connected |= session.was_open

    def _explain(self, error: SkepError, *, barred: bool) -> None:
        if str(error) != self._problem:
            log.warning("no session with a manager: %s", error)
        self._problem, self.barred = str(error), barred

    async def _end_everything(self) -> None:
        """The cluster has given this node's tasks to others: here they must not run on."""
        try:
            await self.worker.assign(Assignments())
        except Exception:
            log.exception("not all tasks of this removed node could be ended; trying again")

    async def _describe(self) -> NodeDescription:
        described = await self._executor.describe()
        return fitting(replace(described, tls_info=self._identity.tls_info))

    async def _report(self, statuses: Statuses) -> None:
        """Without a session nothing is lost: a new one begins with all statuses."""
        try:
            if self._session is not None:
                await self._session.report(statuses.reports)
        except LinkClosed:
            pass
