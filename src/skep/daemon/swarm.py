"""This node's place in a cluster: none, or a member that runs an agent and perhaps a manager."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from skep.agent.agent import Agent
from skep.agent.containers import ContainerExecutor
from skep.agent.identity import Identity
from skep.daemon.member import Member, MemberFolder
from skep.engine import Engine
from skep.kit.addresses import (
    default_address,
    interface_addresses,
    is_address,
    join_host_port,
    split_host_port,
)
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, SkepError, Unavailable
from skep.kit.ids import new_id
from skep.manager.ca import authority
from skep.manager.control.cluster import Birth, init_changes
from skep.manager.manager import Manager
from skep.model.node import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.system import ClusterInfo, Peer, SwarmInfo, SwarmInit, SwarmJoin
from skep.protocol.join import ask_to_join
from skep.protocol.link import AgentLink, local_link
from skep.protocol.messages import FromManager
from skep.protocol.tls import connect, server_context

log = logging.getLogger(__name__)

PORT = 2377
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
        self._jobs: set[asyncio.Task[None]] = set()
        self._agent: Agent | None = None
        self._tries = -1
        self.member: Member | None = None
        self.manager: Manager | None = None

    async def start(self) -> None:
        member = self._folder.read()
        if member is not None:
            await self._run(member)
        else:
            await self._remove_tasks()

    async def stop(self) -> None:
        """Stop deciding and controlling; containers run on."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if self._agent is not None:
            await self._agent.close()
        if self.manager is not None:
            await self.manager.close()
        self._agent = self.manager = self.member = None

    async def init(self, request: SwarmInit) -> str:
        async with self._changing:
            if self.member is not None:
                raise Unavailable(_ALREADY)
            member, birth = self._born(request)
            changes = init_changes(birth)
            self._folder.prepare()
            identity = self._identity()
            manager = Manager(self._folder.path)
            await manager.start()
            try:
                await manager.store.commit(changes)
            finally:
                await manager.close()
            key, signing_request = await identity.request()
            certificate = authority.sign(
                birth.secrets,
                signing_request,
                member.node_id,
                "manager",
                birth.spec.ca_config.node_cert_expiry,
                utc_now(),
            )
            identity.install(key, certificate, authority.roots(birth.secrets))
            self._folder.write(member)
            await self._run(member)
            return member.node_id

    async def join(self, request: SwarmJoin) -> None:
        """Ask a manager, then be a member. Nothing is changed here until the manager said yes."""
        async with self._changing:
            if self.member is not None:
                raise Unavailable(_ALREADY)
            if not request.remote_addrs:
                raise InvalidArgument(
                    "at least 1 address of a manager is needed: skep swarm join --token … HOST:2377"
                )
            advertise = _advertise_address(request.advertise_addr, self._engine)
            key, joined = await ask_to_join(
                request.remote_addrs[0], request.join_token, request.availability or "active"
            )
            self._folder.prepare()
            self._identity().install(key, joined.certificate, joined.roots)
            member = Member(
                node_id=joined.node_id,
                cluster_id=joined.cluster_id,
                role=joined.role,
                advertise_addr=advertise,
                listen_addr=request.listen_addr or f"0.0.0.0:{PORT}",
                data_path_addr=request.data_path_addr,
                managers=request.remote_addrs,
            )
            self._folder.write(member)
            await self._run(member)

    async def leave(self, force: bool) -> None:
        async with self._changing:
            if self.member is None:
                raise Unavailable(_NOT_PART)
            if self.manager is not None and not force:
                raise Unavailable(_LEAVE_NEEDS_FORCE)
            await self.stop()
            self._folder.clear()
            await self._remove_tasks()

    def info(self) -> SwarmInfo:
        member, manager = self.member, self.manager
        if member is None:
            return SwarmInfo()
        problem = self._agent.problem if self._agent is not None else ""
        if manager is None:
            return SwarmInfo(
                node_id=member.node_id,
                node_addr=member.advertise_addr,
                local_node_state="active",
                error=problem,
                remote_managers=[Peer(addr=addr) for addr in member.managers],
            )
        view = manager.store.view
        cluster = view.cluster()
        nodes = view.nodes()
        own = join_host_port(member.advertise_addr, split_host_port(member.listen_addr, PORT)[1])
        return SwarmInfo(
            node_id=member.node_id,
            node_addr=member.advertise_addr,
            local_node_state="active",
            control_available=True,
            error=problem,
            remote_managers=[Peer(node_id=member.node_id, addr=own)],
            nodes=len(nodes),
            managers=sum(node.manager_status is not None for node in nodes),
            cluster=ClusterInfo(
                id=cluster.id,
                version=cluster.version,
                created_at=cluster.created_at,
                updated_at=cluster.updated_at,
                spec=cluster.spec,
                tls_info=cluster.tls_info,
                root_rotation_in_progress=cluster.root_rotation_in_progress,
                default_addr_pool=cluster.default_addr_pool,
                subnet_size=cluster.subnet_size,
                data_path_port=cluster.data_path_port,
            )
            if cluster is not None
            else None,
        )

    def _born(self, request: SwarmInit) -> tuple[Member, Birth]:
        """The new cluster, as values. Raises InvalidArgument for addresses that make no sense."""
        host, port = split_host_port(request.listen_addr or "0.0.0.0", PORT)
        advertise = _advertise_address(request.advertise_addr, self._engine)
        cluster_id, node_id = new_id(), new_id()
        secrets = authority.new_root(cluster_id, utc_now())
        node = Node(
            id=node_id,
            spec=NodeSpec(role="manager", availability=request.availability or "active"),
            description=self._describe(),
            status=NodeStatus(state="unknown", addr=advertise),
            manager_status=ManagerStatus(
                leader=True, reachability="reachable", addr=join_host_port(advertise, port)
            ),
            certificate_role="manager",
        )
        birth = Birth(
            cluster_id=cluster_id,
            secrets=secrets,
            first_node=node,
            network_ids=(new_id(), new_id(), new_id()),
            spec=request.spec,
            default_addr_pool=request.default_addr_pool,
            subnet_size=request.subnet_size or 24,
            data_path_port=request.data_path_port or 4789,
        )
        member = Member(
            node_id=node_id,
            cluster_id=cluster_id,
            role="manager",
            advertise_addr=advertise,
            listen_addr=join_host_port(host or "0.0.0.0", port),
            data_path_addr=request.data_path_addr,
        )
        return member, birth

    async def _run(self, member: Member) -> None:
        identity = self._identity()
        identity.load()
        self.member = member
        if member.role == "manager":
            manager = Manager(self._folder.path)
            await manager.start()
            context = identity.keep(server_context(identity.files))
            await manager.listen(member.listen_addr, context)
            self.manager = manager
            self._job(manager.run(), "manager")
        agent = Agent(
            member.node_id,
            self._executor,
            identity,
            self._folder.path,
            lambda: self._connect(identity),
        )
        await agent.start()
        self._agent = agent
        self._job(agent.run(), "agent")

    async def _connect(self, identity: Identity) -> AgentLink:
        """A line to a manager: our own, or the next of those that we know."""
        member, manager, agent = self.member, self.manager, self._agent
        if member is None:
            raise Unavailable(_NOT_PART)
        if manager is not None:
            near, far = local_link()
            session = manager.dispatcher.serve(far, member.node_id, member.advertise_addr)
            self._job(session, "session")
            return near
        known = (agent.managers if agent is not None else []) or member.managers
        self._tries += 1
        address = known[self._tries % len(known)]
        return await connect(address, identity.client_context(), FromManager)

    def _identity(self) -> Identity:
        return Identity(self._folder.path, random.Random())

    def _job(self, work: Coroutine[Any, Any, None], name: str) -> None:
        job = asyncio.create_task(work, name=name)
        self._jobs.add(job)
        job.add_done_callback(self._job_done)

    def _job_done(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.critical("the %s of this node failed", job.get_name(), exc_info=error)

    async def _remove_tasks(self) -> None:
        """A node in no cluster runs no tasks: remove what a cluster left here."""
        for task_id in sorted(await self._executor.task_ids()):
            try:
                await self._executor.remove_stray(task_id)
            except SkepError as error:
                log.error("what is left of task %s cannot be removed: %s", task_id, error)
        await self._executor.set_networks([])
        await self._executor.publish({})


def _advertise_address(text: str, engine: Engine) -> str:
    """The address that other nodes reach this one at."""
    if not text:
        return default_address() or _only_address(engine)
    host, _ = split_host_port(text, PORT)
    if is_address(host):
        return host
    raise InvalidArgument(
        f'invalid advertise address "{text}": it must be an IP address, with or without a port'
    )


def _only_address(engine: Engine) -> str:
    """Without a default route: the one address besides those of our own bridges, or loopback."""
    own = {subnet.gateway for bridge in engine.networks.bridges() for subnet in bridge.subnets}
    found = {name: each for name, each in interface_addresses().items() if each not in own}
    if len(found) > 1:
        listed = " and ".join(f"{address} on {name}" for name, address in found.items())
        raise InvalidArgument(
            "could not choose an IP address to advertise since this system has multiple addresses "
            f"on different interfaces ({listed}) - specify one with --advertise-addr"
        )
    return next(iter(found.values()), "127.0.0.1")
