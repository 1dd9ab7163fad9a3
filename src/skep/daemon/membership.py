"""This node's place in a cluster: none, or a member. How it becomes one, and stops being one."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from skep.agent.executor import Executor
from skep.agent.identity import Identity
from skep.daemon import status
from skep.daemon.addresses import NodeAddresses, node_addresses, this_machine
from skep.daemon.member import Member, MemberFolder
from skep.daemon.swarm import Swarm
from skep.engine import Engine
from skep.kit.addresses import default_address
from skep.kit.errors import InvalidArgument, SkepError, Unavailable
from skep.manager.founding import Founded, found
from skep.manager.manager import Manager
from skep.model.node import Role
from skep.model.system import SwarmInfo, SwarmInit, SwarmJoin
from skep.protocol.join import ask_to_join
from skep.protocol.messages import Certificate

log = logging.getLogger(__name__)

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


class Membership:
    """`start` brings back what the node was before its restart; `stop` keeps it for the next."""

    def __init__(self, engine: Engine, executor: Executor, data_root: Path) -> None:
        self._engine = engine
        self._executor = executor
        self._folder = MemberFolder(data_root / "swarm")
        self._swarm = Swarm(self._folder.path, executor)
        self._changing = asyncio.Lock()
        self._member: Member | None = None
        self._problem = ""

    @property
    def manager(self) -> Manager | None:
        """None where this node is no manager, or cannot act as one now."""
        return self._swarm.manager

    async def start(self) -> None:
        """A member that cannot be what it was (its port is taken, a file is damaged) stays one and
        says why: its containers run on, and it can leave."""
        member = self._folder.read()
        await asyncio.to_thread(self._folder.sweep)
        if member is None:
            await self._remove_tasks()
            return
        try:
            await self._swarm.start(member)
        except SkepError as error:
            log.error("this node cannot take its place in the cluster: %s", error)
            await self._swarm.stop()
            self._problem = str(error)
        self._member = member

    async def stop(self) -> None:
        """Stop deciding and controlling; containers run on."""
        await self._swarm.stop()
        self._member, self._problem = None, ""

    async def init(self, request: SwarmInit) -> str:
        """Found a cluster with this node as its manager; the node's id."""
        async with self._changing:
            self._check_outside()
            addresses = self._addresses(request)
            async with self._all_or_nothing():
                first = await self._found(request, addresses)
                await self._install(first.key, first.certificate, first.roots)
                await self._begin(_member(first.node_id, first.cluster_id, "manager", addresses))
            await self._swarm.until_connected()
            return first.node_id

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
            async with self._all_or_nothing():
                await self._install(key, joined.certificate, joined.roots)
                member = _member(joined.node_id, joined.cluster_id, joined.role, addresses)
                await self._begin(replace(member, managers=request.remote_addrs))
            await self._swarm.until_connected()

    async def leave(self, force: bool) -> None:
        async with self._changing:
            if self._member is None:
                raise Unavailable(_NOT_PART)
            if self._member.role == "manager" and not force:
                raise Unavailable(_LEAVE_NEEDS_FORCE)
            await self._swarm.say_farewell()
            await self.stop()
            await asyncio.to_thread(self._folder.clear)
            await self._remove_tasks()

    def info(self) -> SwarmInfo:
        """The truth about this node and its cluster, from memory."""
        if self._member is None:
            return SwarmInfo()
        return status.of(self._member, self._swarm, self._problem)

    def _check_outside(self) -> None:
        if self._member is not None:
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

    async def _found(self, request: SwarmInit, addresses: NodeAddresses) -> Founded:
        manager = Manager(self._folder.path)
        try:
            await manager.start()
            return await found(
                manager.store, request, addresses.advertise, await self._executor.describe()
            )
        finally:
            await manager.close()

    async def _install(self, key: str, certificate: Certificate, roots: str) -> None:
        identity = Identity(self._folder.path, random.Random())
        await asyncio.to_thread(identity.install, key, certificate, roots)

    async def _begin(self, member: Member) -> None:
        """All that can fail was tried when it is written down that the node is a member."""
        await self._swarm.start(member)
        self._member = member
        await asyncio.to_thread(self._folder.write, member)

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


def _member(node_id: str, cluster_id: str, role: Role, addresses: NodeAddresses) -> Member:
    return Member(
        node_id=node_id,
        cluster_id=cluster_id,
        role=role,
        advertise_addr=addresses.advertise,
        listen_addr=addresses.listen,
        data_path_addr=addresses.data_path,
    )
