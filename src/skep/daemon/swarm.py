"""What a member of a cluster runs: an agent, and a manager where its role says so."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from skep.agent.agent import Agent
from skep.agent.dial import dial
from skep.agent.executor import Executor
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.daemon.member import Member
from skep.kit.errors import Unavailable
from skep.kit.jobs import Jobs
from skep.manager.manager import Manager
from skep.model.system import Peer
from skep.protocol.link import AgentLink

_IN_TIME_S = 20.0
_EMPTY_STORE = (
    "The store of this manager holds no cluster: its file swarm/store.db was lost. Restore it from "
    "a backup and restart skep, or leave the cluster with `skep swarm leave --force`."
)
_NOT_IN_TIME = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the "
    'background. Use the "docker info" command to see the current swarm status of your node.'
)


class Swarm:
    """`start` as the member says, `stop`, and again: perhaps in another role. A start that failed
    is stopped too."""

    def __init__(self, folder: Path, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._jobs = Jobs()
        self._roster = Roster(folder, [])
        self.agent: Agent | None = None
        self.manager: Manager | None = None

    async def start(self, member: Member) -> None:
        """Raises Unavailable when the node's files are damaged or its port is taken."""
        identity = Identity(self._folder, random.Random())
        identity.load()
        known = member.managers or [member.advertise_addr]  # who founded the cluster joined nobody
        self._roster = Roster(self._folder / "managers.json", known)
        self._roster.load()
        if member.role == "manager":
            self.manager = await self._start_manager(member, identity)
        agent = Agent(
            member.node_id,
            self._executor,
            identity,
            self._roster,
            self._folder,
            lambda: self._connect(member, identity),
        )
        await agent.start()
        self.agent = agent
        self._jobs.start(agent.run(), "the agent")

    async def stop(self) -> None:
        """Stop deciding and controlling; containers run on."""
        await self._jobs.close()
        if self.agent is not None:
            await self.agent.close()
        if self.manager is not None:
            await self.manager.close()
        self.agent = self.manager = None

    async def say_farewell(self) -> None:
        """Tell the cluster that this node leaves it; ends within seconds."""
        if self.agent is not None:
            await self.agent.leave()

    async def until_connected(self) -> None:
        """Raises Unavailable when it takes too long; it goes on in the background then."""
        assert self.agent is not None
        try:
            async with asyncio.timeout(_IN_TIME_S):
                await self.agent.connected.wait()
        except TimeoutError:
            raise Unavailable(_NOT_IN_TIME) from None

    @property
    def managers(self) -> list[Peer]:
        """Those that this node would ask."""
        return self._roster.managers

    async def _start_manager(self, member: Member, identity: Identity) -> Manager:
        manager = Manager(self._folder)
        try:
            await manager.start()
            if manager.store.view.cluster() is None:
                raise Unavailable(_EMPTY_STORE)
            await manager.lead()  # as the only one
            await manager.listen(member.listen_addr, identity.server_context)
        except BaseException:
            await manager.close()
            raise
        self._jobs.start(manager.run(), "the manager")
        return manager

    async def _connect(self, member: Member, identity: Identity) -> AgentLink:
        """A line to our own manager while it leads, else to one of those that we know."""
        if self.manager is not None and self.manager.leads:
            return self.manager.connect(member.node_id, member.address)
        return await dial(identity, self._roster)
