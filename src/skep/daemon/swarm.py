"""This node's place in a cluster: none, or a member that runs an agent and perhaps a manager."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from skep.agent.agent import Agent
from skep.agent.containers import ContainerExecutor
from skep.agent.dial import dial
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.daemon import standing
from skep.daemon.addresses import NodeAddresses, node_addresses, this_machine
from skep.daemon.birth import born
from skep.daemon.member import Member, MemberFolder
from skep.engine import Engine
from skep.kit.addresses import default_address
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, SkepError, Unavailable
from skep.kit.jobs import Jobs
from skep.manager.ca import authority
from skep.manager.control.cluster import Birth, init_changes
from skep.manager.manager import Manager
from skep.model.node import NodeDescription
from skep.model.system import SwarmInfo, SwarmInit, SwarmJoin
from skep.protocol.join import ask_to_join
from skep.protocol.link import AgentLink
from skep.protocol.signing import new_request

log = logging.getLogger(__name__)

_IN_TIME_S = 20.0
_ALREADY = (
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join '
    "another one."
)
_NOT_PART = "This node is not part of a swarm"
_LEAVE_NEEDS_FORCE = (
    "You are attempting to leave the swarm on a node that is participating as a manager. "
    "Removing the last manager erases all current state of the swarm. Use `--force` to ignore "
    "this message."
)
_EMPTY_STORE = (
    "The store of this manager holds no cluster: its file swarm/store.db was lost. Restore it from "
    "a backup and restart skep, or leave the cluster with `skep swarm leave --force`."
)
_NOT_IN_TIME = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the "
    'background. Use the "docker info" command to see the current swarm status of your node.'
)


class Swarm:
    """`start` brings back what the node was before its restart; `stop` keeps it for the next."""

    def __init__(
        self, engine: Engine, data_root: Path, describe: Callable[[], NodeDescription]
    ) -> None:
        self._engine = engine
        self._executor = ContainerExecutor(engine, describe)
        self._describe = describe
        self._folder = MemberFolder(data_root / "swarm")
        self._changing = asyncio.Lock()
        self._jobs = Jobs()
        self._agent: Agent | None = None
        self._roster = Roster(self._folder.path, [])
        self._problem = ""
        self.member: Member | None = None
        self.manager: Manager | None = None

    async def start(self) -> None:
        """A member that cannot be what it was (its port is taken, a file is damaged) stays one and
        says why: its containers run on, and it can leave."""
        member = self._folder.read()
        await asyncio.to_thread(self._folder.sweep)
        if member is None:
            await self._remove_tasks()
            return
        try:
            await self._run(member)
        except SkepError as error:
            log.error("this node cannot take its place in the cluster: %s", error)
            await self.stop()
            self.member, self._problem = member, str(error)

    async def stop(self) -> None:
        """Stop deciding and controlling; containers run on."""
        await self._jobs.close()
        if self._agent is not None:
            await self._agent.close()
        if self.manager is not None:
            await self.manager.close()
        self._agent = self.manager = self.member = None
        self._problem = ""

    async def init(self, request: SwarmInit) -> str:
        async with self._changing:
            self._check_outside()
            addresses = self._addresses(request)
            member, birth = await asyncio.to_thread(
                born, request, addresses, self._describe(), utc_now()
            )
            async with self._all_or_nothing():
                await self._found(birth)
                await self._begin(member)
            await self._until_connected()
            return member.node_id

    async def join(self, request: SwarmJoin) -> None:
        """Ask a manager, then be a member. Nothing is changed here until the manager said yes."""
        async with self._changing:
            self._check_outside()
            if not request.remote_addrs:
                raise InvalidArgument(
                    "at least 1 address of a manager is needed: skep swarm join --token … HOST:2377"
                )
            addresses = self._addresses(request)
            key, joined = await ask_to_join(
                request.remote_addrs[0], request.join_token, request.availability or "active"
            )
            member = Member(
                node_id=joined.node_id,
                cluster_id=joined.cluster_id,
                role=joined.role,
                advertise_addr=addresses.advertise,
                listen_addr=addresses.listen,
                data_path_addr=addresses.data_path,
                managers=request.remote_addrs,
            )
            async with self._all_or_nothing():
                install = self._identity().install
                await asyncio.to_thread(install, key, joined.certificate, joined.roots)
                await self._begin(member)
            await self._until_connected()

    async def leave(self, force: bool) -> None:
        async with self._changing:
            if self.member is None:
                raise Unavailable(_NOT_PART)
            if self.member.role == "manager" and not force:
                raise Unavailable(_LEAVE_NEEDS_FORCE)
            if self._agent is not None:
                await self._agent.leave()
            await self.stop()
            await asyncio.to_thread(self._folder.clear)
            await self._remove_tasks()

    def info(self) -> SwarmInfo:
        member, agent = self.member, self._agent
        if member is None:
            return SwarmInfo()
        if agent is None:
            return standing.broken(member, self._problem)
        if self.manager is None:
            return standing.of_worker(member, agent, self._roster.managers)
        return standing.of_manager(member, agent, self.manager)

    def _check_outside(self) -> None:
        if self.member is not None:
            raise Unavailable(_ALREADY)

    @asynccontextmanager
    async def _all_or_nothing(self) -> AsyncIterator[None]:
        """Become a member in an empty folder; when that fails, be none, with nothing left over."""
        await asyncio.to_thread(self._folder.prepare)
        try:
            yield
        except BaseException:
            await self.stop()
            await asyncio.to_thread(self._folder.clear)
            raise

    async def _found(self, birth: Birth) -> None:
        """The cluster's first commit, and its first node's certificate."""
        changes = init_changes(birth)
        manager = Manager(self._folder.path)
        await manager.start()
        try:
            await manager.store.commit(changes)
        finally:
            await manager.close()
        key, signing_request = await asyncio.to_thread(new_request)
        certificate = authority.sign(
            birth.secrets,
            signing_request,
            birth.first_node.id,
            "manager",
            birth.spec.ca_config.node_cert_expiry,
            utc_now(),
        )
        install = self._identity().install
        await asyncio.to_thread(install, key, certificate, authority.roots(birth.secrets))

    async def _begin(self, member: Member) -> None:
        """All that can fail was tried when it is written down that the node is a member."""
        await self._run(member)
        await asyncio.to_thread(self._folder.write, member)

    async def _run(self, member: Member) -> None:
        identity = self._identity()
        identity.load()
        self._roster = Roster(self._folder.path / "managers.json", member.managers)
        self._roster.load()
        if member.role == "manager":
            self.manager = await self._run_manager(member, identity)
        agent = Agent(
            member.node_id,
            self._executor,
            identity,
            self._roster,
            self._folder.path,
            lambda: self._connect(member, identity),
        )
        await agent.start()
        self._agent = agent
        self._jobs.start(agent.run(), "the agent")
        self.member = member

    async def _run_manager(self, member: Member, identity: Identity) -> Manager:
        manager = Manager(self._folder.path)
        try:
            await manager.start()
            if manager.store.view.cluster() is None:
                raise Unavailable(_EMPTY_STORE)
            await manager.lead()
            await manager.listen(member.listen_addr, identity.server_context)
        except BaseException:
            await manager.close()
            raise
        self._jobs.start(manager.run(), "the manager")
        return manager

    async def _connect(self, member: Member, identity: Identity) -> AgentLink:
        """A line to our own manager, or to one of those that we know."""
        if self.manager is None or self.manager.leadership is None:
            return await dial(identity, self._roster)
        return self.manager.connect(member.node_id, member.address)

    async def _until_connected(self) -> None:
        """Raises Unavailable when it takes too long; it goes on in the background then."""
        assert self._agent is not None
        try:
            async with asyncio.timeout(_IN_TIME_S):
                await self._agent.connected.wait()
        except TimeoutError:
            raise Unavailable(_NOT_IN_TIME) from None

    def _identity(self) -> Identity:
        return Identity(self._folder.path, random.Random())

    async def _remove_tasks(self) -> None:
        """A node in no cluster runs no tasks: remove what a cluster left here."""
        for task_id in sorted(await self._executor.task_ids()):
            try:
                await self._executor.remove_stray(task_id)
            except SkepError as error:
                log.error("what is left of task %s cannot be removed: %s", task_id, error)
        await self._executor.set_networks([])
        await self._executor.publish({})

    def _addresses(self, request: SwarmInit | SwarmJoin) -> NodeAddresses:
        """Raises InvalidArgument for addresses that make no sense here."""
        bridges = self._engine.networks.bridges()
        gateways = {subnet.gateway for bridge in bridges for subnet in bridge.subnets}
        return node_addresses(
            request.listen_addr,
            request.advertise_addr,
            request.data_path_addr,
            this_machine(without=gateways),
            default_address(),
        )
