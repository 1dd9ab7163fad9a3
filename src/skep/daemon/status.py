"""What a node tells of its place in a cluster: the `Swarm` block of GET /info."""

from __future__ import annotations

from skep.agent.agent import Agent
from skep.daemon.member import Member
from skep.daemon.swarm import Swarm
from skep.manager.manager import Manager
from skep.model.system import ClusterInfo, LocalNodeState, Peer, SwarmInfo


def of(member: Member, swarm: Swarm, problem: str) -> SwarmInfo:
    """`problem` is why the member's agent or manager could not be started."""
    if swarm.agent is None:
        return _of_broken(member, problem)
    if swarm.manager is None:
        return _of_worker(member, swarm.agent, swarm.managers)
    return _of_manager(member, swarm.agent, swarm.manager)


def _of_broken(member: Member, problem: str) -> SwarmInfo:
    return SwarmInfo(
        node_id=member.node_id,
        node_addr=member.address,
        local_node_state="error",
        error=problem,
    )


def _of_worker(member: Member, agent: Agent, managers: list[Peer]) -> SwarmInfo:
    return SwarmInfo(
        node_id=member.node_id,
        node_addr=member.address,
        local_node_state=_state(agent),
        error=agent.problem,
        remote_managers=managers,
    )


def _of_manager(member: Member, agent: Agent, manager: Manager) -> SwarmInfo:
    view = manager.store.view
    nodes = view.nodes()
    managers = [
        Peer(node_id=node.id, addr=node.manager_status.addr)
        for node in nodes
        if node.manager_status is not None
    ]
    cluster = view.cluster()
    return SwarmInfo(
        node_id=member.node_id,
        node_addr=member.address,
        local_node_state="active",
        control_available=True,
        error=agent.problem,
        remote_managers=managers,
        nodes=len(nodes),
        managers=len(managers),
        cluster=ClusterInfo.of(cluster) if cluster is not None else None,
    )


def _state(agent: Agent) -> LocalNodeState:
    if agent.barred:
        return "error"
    return "active" if agent.was_connected else "pending"
