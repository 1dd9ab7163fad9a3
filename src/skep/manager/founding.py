"""How a cluster begins: its root, its first commit, its first node's certificate."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec.structs import replace

from skep.kit.addresses import split_host_port
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, Unimplemented
from skep.kit.ids import new_id
from skep.manager.ca import authority
from skep.manager.control.cluster import (
    PREDEFINED_NETWORKS,
    brings_a_root,
    check_pools,
    check_spec,
    complete,
)
from skep.model.cluster import Cluster, ClusterSecrets, ClusterSpec
from skep.model.network import Network, NetworkSpec
from skep.model.node import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.system import SwarmInit
from skep.protocol.messages import Certificate
from skep.protocol.signing import new_request
from skep.protocol.tls import PORT
from skep.store.change import Create, Stored
from skep.store.store import Store

_DEFAULT_POOLS = ["10.0.0.0/8"]
_DEFAULT_SUBNET_SIZE = 24
_DEFAULT_DATA_PATH_PORT = 4789
_DATA_PATH_PORTS = range(1024, 49152)


class Founded(msgspec.Struct, frozen=True):
    """What the first node needs to be a member: `key` is its own and a secret, `roots` are the
    certificates to trust (all PEM)."""

    cluster_id: str
    node_id: str
    key: str
    certificate: Certificate
    roots: str


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a new cluster is made of: its ids and keys are given, not made here.

    `first_node` is the manager that runs `swarm init`, as it should be stored. `network_ids` are
    the ids of the ingress, host and bridge networks. What is empty or 0 is Swarm's default.
    """

    cluster_id: str
    secrets: ClusterSecrets
    first_node: Node
    network_ids: tuple[str, str, str]
    spec: ClusterSpec = ClusterSpec()
    default_addr_pool: list[str] = []
    subnet_size: int = 0
    data_path_port: int = 0


async def found(
    store: Store, request: SwarmInit, advertise_addr: str, description: NodeDescription
) -> Founded:
    """Begin a cluster in an empty store, with a manager reached at `advertise_addr` (host:port).

    Raises InvalidArgument for what makes no sense, Unimplemented by name for what is asked and not
    there, Unavailable when the store cannot be written.
    """
    _check(request)
    changes, founded = await asyncio.to_thread(_make, request, advertise_addr, description)
    await store.commit(changes)
    return founded


def first_commit(founding: Founding) -> list[Create]:
    """Cluster, ClusterSecrets, first Node and the cluster's networks.

    Raises InvalidArgument when the address pool, the port or the spec make no sense.
    """
    spec = complete(founding.spec)
    check_spec(spec)
    if brings_a_root(spec.ca_config):
        raise Unimplemented(
            "a cluster is born with a root of its own: bring yours with skep swarm ca --rotate"
        )
    pools = founding.default_addr_pool or _DEFAULT_POOLS
    subnet_size = founding.subnet_size or _DEFAULT_SUBNET_SIZE
    check_pools(pools, subnet_size)
    data_path_port = founding.data_path_port or _DEFAULT_DATA_PATH_PORT
    if data_path_port not in _DATA_PATH_PORTS:
        raise InvalidArgument(
            f"invalid data path port {data_path_port}: it must be from "
            f"{_DATA_PATH_PORTS[0]} to {_DATA_PATH_PORTS[-1]}"
        )
    cluster = Cluster(
        id=founding.cluster_id,
        spec=spec,
        tls_info=founding.first_node.description.tls_info,
        data_path_port=data_path_port,
        default_addr_pool=pools,
        subnet_size=subnet_size,
    )
    ingress_id, *own_ids = founding.network_ids
    ingress = Network(id=ingress_id, spec=NetworkSpec(name="ingress", ingress=True))
    nodes_own = [
        Network(id=network_id, spec=NetworkSpec(name=name, driver=name))
        for network_id, name in zip(own_ids, PREDEFINED_NETWORKS, strict=True)
    ]
    born: list[Stored] = [cluster, founding.secrets, founding.first_node, ingress, *nodes_own]
    return [Create(new, why="swarm init") for new in born]


def _check(request: SwarmInit) -> None:
    if request.force_new_cluster:
        raise Unimplemented(
            "ForceNewCluster is not supported: a cluster has one manager yet, so there is no "
            "quorum to recover"
        )
    if request.auto_lock_managers:
        raise Unimplemented("autolock is not supported yet: leave AutoLockManagers off")


def _make(
    request: SwarmInit, advertise_addr: str, description: NodeDescription
) -> tuple[list[Create], Founded]:
    """The first commit and the first node. Makes ids and keys."""
    now = utc_now()
    cluster_id, node_id = new_id(), new_id()
    secrets = authority.new_secrets(cluster_id, now)
    first_node = Node(
        id=node_id,
        spec=NodeSpec(role="manager", availability=request.availability or "active"),
        description=replace(description, tls_info=authority.tls_info(secrets)),
        status=NodeStatus(state="unknown", addr=split_host_port(advertise_addr, PORT)[0]),
        manager_status=ManagerStatus(leader=True, reachability="reachable", addr=advertise_addr),
        certificate_role="manager",
    )
    founding = Founding(
        cluster_id=cluster_id,
        secrets=secrets,
        first_node=first_node,
        network_ids=(new_id(), new_id(), new_id()),
        spec=request.spec,
        default_addr_pool=request.default_addr_pool,
        subnet_size=request.subnet_size,
        data_path_port=request.data_path_port,
    )
    changes = first_commit(founding)
    key, signing_request = new_request()
    life_ns = complete(request.spec).ca_config.node_cert_expiry
    certificate = authority.sign(secrets, signing_request, node_id, "manager", life_ns, now)
    return changes, Founded(cluster_id, node_id, key, certificate, authority.roots(secrets))
