"""A new cluster as values: its first node, its root, its settings."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from skep.daemon.addresses import NodeAddresses
from skep.daemon.member import Member
from skep.kit.errors import Unimplemented
from skep.kit.ids import new_id
from skep.manager.ca import authority
from skep.manager.control.cluster import Birth
from skep.model.node import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.system import SwarmInit

_DEFAULT_SUBNET_SIZE = 24
_DEFAULT_DATA_PATH_PORT = 4789


def born(
    request: SwarmInit, addresses: NodeAddresses, description: NodeDescription, now: datetime
) -> tuple[Member, Birth]:
    """The first member, and what its cluster begins with. Makes ids and keys. Raises Unimplemented
    by name for what is asked and not there."""
    if request.force_new_cluster:
        raise Unimplemented(
            "ForceNewCluster is not supported: a cluster has one manager yet, so there is no "
            "quorum to recover"
        )
    if request.auto_lock_managers:
        raise Unimplemented("autolock is not supported yet: leave AutoLockManagers off")
    cluster_id, node_id = new_id(), new_id()
    secrets = authority.new_secrets(cluster_id, now)
    member = Member(
        node_id=node_id,
        cluster_id=cluster_id,
        role="manager",
        advertise_addr=addresses.advertise,
        listen_addr=addresses.listen,
        data_path_addr=addresses.data_path,
    )
    birth = Birth(
        cluster_id=cluster_id,
        secrets=secrets,
        first_node=Node(
            id=node_id,
            spec=NodeSpec(role="manager", availability=request.availability or "active"),
            description=replace(description, tls_info=authority.tls_info(secrets)),
            status=NodeStatus(state="unknown", addr=member.address),
            manager_status=ManagerStatus(
                leader=True, reachability="reachable", addr=addresses.advertise
            ),
            certificate_role="manager",
        ),
        network_ids=(new_id(), new_id(), new_id()),
        spec=request.spec,
        default_addr_pool=request.default_addr_pool,
        subnet_size=request.subnet_size or _DEFAULT_SUBNET_SIZE,
        data_path_port=request.data_path_port or _DEFAULT_DATA_PATH_PORT,
    )
    return member, birth
