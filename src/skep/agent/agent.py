"""The node's side of the line: opens a session, keeps it, and opens the next when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from skep.agent.calls import Calls
from skep.agent.disk import Disk
from skep.agent.executor import Executor
from skep.agent.identity import Identity
from skep.agent.reporter import Reporter
from skep.agent.worker import Worker
from skep.kit.backoff import Backoff
from skep.kit.errors import SkepError
from skep.model.node import NodeDescription
from skep.protocol.link import AgentLink, LinkClosed
from skep.protocol.messages import (
    Assignments,
    Call,
    Cancel,
    Credit,
    Described,
    FromManager,
    Goodbye,
    Heartbeat,
    Hello,
    Renew,
    Renewed,
    Standing,
    StandingChanged,
    Statuses,
    Welcome,
)

log = logging.getLogger(__name__)

_WELCOME_S = 10.0
_RENEW_S = 30.0
_BEATS_A_PERIOD = 2.2
"""Two beats fit into a period, so that one may be lost on the way."""

Connect = Callable[[], Awaitable[AgentLink]]


class Agent:
    """`start`, then `run` until cancelled, then `close`. Containers outlive all of it."""

    def __init__(
        self,
        node_id: str,
        executor: Executor,
        identity: Identity,
        state: Path,
        connect: Connect,
    ) -> None:
        self._executor = executor
        self._identity = identity
        self._connect = connect
        self._disk = Disk(state / "agent.db")
        self._reporter = Reporter(self._disk, self._send)
        self._link: AgentLink | None = None
        self._heartbeat_s = 1.0
        self._renewing: asyncio.Future[Renewed] | None = None
        self._renew_now = asyncio.Event()
        self.worker = Worker(node_id, executor, self._disk, self._reporter)
        self.managers: list[str] = []
        self.connected = asyncio.Event()
        self.problem = ""
        """Why there is no session, in words; "" while there is one."""

    async def start(self) -> None:
        await self.worker.load()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reporter.run(), name="agent reporter")
            group.create_task(self.worker.run(), name="agent ports")
            group.create_task(self._sessions(), name="agent sessions")

    async def close(self) -> None:
        await self.worker.close()
        await self._disk.close()

    async def _sessions(self) -> None:
        backoff = Backoff(first_s=0.1, last_s=8.0, chance=random.Random())
        while True:
            try:
                link = await self._connect()
                await self._session(link, backoff)
            except SkepError as error:
                if str(error) != self.problem:
                    log.warning("no session with a manager: %s", error)
                self.problem = str(error)
            await asyncio.sleep(backoff.next_s())

    async def _session(self, link: AgentLink, backoff: Backoff) -> None:
        calls = Calls(self.worker.logs, link.send)
        try:
            self._identity.check_valid(time.time())
            await link.send(Hello(await self._description()))
            async with asyncio.timeout(_WELCOME_S):
                welcome = await link.receive()
            await self._welcomed(welcome)
            backoff.reset()
            self._link = link
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat(link))
                group.create_task(self._listen(link, calls))
                group.create_task(self._keep_renewed(link))
        except TimeoutError:
            raise LinkClosed(f"the manager did not answer within {_WELCOME_S:g} s") from None
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._link = None
            self.connected.clear()
            link.close()
            await calls.close()

    async def _welcomed(self, message: FromManager) -> None:
        if isinstance(message, Goodbye):
            raise LinkClosed(message.reason)
        if not isinstance(message, Welcome):
            raise LinkClosed(f"expected Welcome, got {type(message).__name__}")
        await self._stand(message.standing)

    async def _stand(self, standing: Standing) -> None:
        self._heartbeat_s = standing.heartbeat_s
        self.managers = standing.managers
        await self._identity.trust(standing.roots)
        await self.worker.set_node(standing.node)
        if standing.renew:
            self._renew_now.set()

    async def _description(self) -> NodeDescription:
        return replace(await self._executor.describe(), tls_info=self._identity.issuer)

    async def _listen(self, link: AgentLink, calls: Calls) -> None:
        sequence = -1
        while True:
            message = await link.receive()
            match message:
                case Assignments():
                    if message.applies_to not in {0, sequence}:
                        raise LinkClosed("an assignment was missed: beginning anew")
                    await self.worker.assign(message)
                    sequence = message.results_in
                    if not self.connected.is_set():
                        await link.send(Statuses(self.worker.reports()))
                        self.connected.set()
                        self.problem = ""
                case StandingChanged():
                    await self._stand(message.standing)
                case Renewed():
                    if self._renewing is not None and not self._renewing.done():
                        self._renewing.set_result(message)
                case Call() | Credit() | Cancel():
                    await calls.take(message)
                case Goodbye():
                    raise LinkClosed(message.reason)
                case Welcome():
                    raise LinkClosed("a second Welcome in one session")

    async def _beat(self, link: AgentLink) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s / _BEATS_A_PERIOD)
            await link.send(Heartbeat())

    async def _keep_renewed(self, link: AgentLink) -> None:
        """Renew the certificate in good time, or when the manager asks; the session goes on."""
        while True:
            due_s = self._identity.renew_in_s(time.time())
            with suppress(TimeoutError):
                async with asyncio.timeout(due_s):
                    await self._renew_now.wait()
            key, signing_request = await self._identity.request()
            self._renewing = asyncio.get_running_loop().create_future()
            await link.send(Renew(signing_request))
            try:
                async with asyncio.timeout(_RENEW_S):
                    answer = await self._renewing
            except TimeoutError:
                raise LinkClosed(
                    f"the manager did not renew the certificate within {_RENEW_S:g} s"
                ) from None
            install = self._identity.install
            await asyncio.to_thread(install, key, answer.certificate, answer.roots)
            self._renew_now.clear()
            await link.send(Described(await self._description()))

    async def _send(self, statuses: Statuses) -> None:
        """Without a session nothing is lost: a new one begins with all statuses."""
        if self._link is None or not self.connected.is_set():
            return
        try:
            await self._link.send(statuses)
        except LinkClosed:
            pass
