"""What a node tells of its place in a cluster: the `Swarm` block of GET /info."""

from __future__ import annotations

from skep.agent.agent import Agent
from skep.daemon.member import Member
from skep.manager.manager import Manager
from skep.model.cluster import Cluster
from skep.model.system import ClusterInfo, LocalNodeState, Peer, SwarmInfo


def broken(member: Member, problem: str) -> SwarmInfo:
    """A member whose agent or manager could not be started."""
    return SwarmInfo(
        node_id=member.node_id,
        node_addr=member.address,
        local_node_state="error",
        error=problem,
    )


def of_worker(member: Member, agent: Agent, managers: list[Peer]) -> SwarmInfo:
    return SwarmInfo(
        node_id=member.node_id,
        node_addr=member.address,
        local_node_state=_state(agent),
        error=agent.problem,
        remote_managers=managers,
    )


def of_manager(member: Member, agent: Agent, manager: Manager) -> SwarmInfo:
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
        cluster=_shown(cluster) if cluster is not None else None,
    )


def _state(agent: Agent) -> LocalNodeState:
    if agent.barred:
        return "error"
    return "active" if agent.was_connected else "pending"


def _shown(cluster: Cluster) -> ClusterInfo:
    return ClusterInfo(
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
