"""Subnets and VXLAN numbers for cluster networks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_network

from msgspec.structs import replace

from skep.kit.pools import first_free_subnet, overlap
from skep.manager.allocator.refused import CannotAllocate
from skep.model.cluster import Cluster
from skep.model.network import IPAM, IPAMConfig, Network

DEFAULT_ADDR_POOL = "10.0.0.0/8"
_FIRST_VNI = 4096


def allocate(
    network: Network,
    others: Iterable[Network],
    cluster: Cluster | None,
    left_behind: Collection[str] = (),
) -> Network:
    """The network with its subnets, gateways and number. Raises Refused when there is none left.

    `left_behind` are addresses that are still in use on networks that were removed.
    """
    others = list(others)
    taken = [config.subnet for other in others for config in other.ipam.config]
    wished = network.spec.ipam.config or [IPAMConfig()]
    configs: list[IPAMConfig] = []
    for config in wished:
        subnet = config.subnet or _next_subnet(network, [*taken, *left_behind], cluster)
        _check_free(network, subnet, taken, "which another network of the cluster has")
        _check_free(network, subnet, left_behind, "which a task that is stopping still has")
        taken.append(subnet)
        gateway = config.gateway or _first_address(subnet)
        configs.append(replace(config, subnet=subnet, gateway=gateway))
    ipam = IPAM(options=network.spec.ipam.options, config=configs)
    return replace(network, ipam=ipam, vni=_next_vni(others))


def _next_subnet(network: Network, taken: list[str], cluster: Cluster | None) -> str:
    pools = (cluster.default_addr_pool if cluster else []) or [DEFAULT_ADDR_POOL]
    size = cluster.subnet_size if cluster else 24
    subnet = first_free_subnet([(pool, size) for pool in pools], taken)
    if subnet is None:
        raise CannotAllocate(
            f"network {network.spec.name} has no subnet: the cluster's address pool "
            f"({', '.join(pools)} cut in /{size}) is used up; remove a network that is not used, "
            "or create this one with --subnet"
        )
    return subnet


def _check_free(network: Network, subnet: str, taken: Iterable[str], who: str) -> None:
    for other in taken:
        if overlap(subnet, other):
            raise CannotAllocate(
                f"network {network.spec.name} has no subnet: {subnet} overlaps {other}, {who}"
            )


def _first_address(subnet: str) -> str:
    """Docker's gateway: the first address after the subnet's own."""
    return str(ip_network(subnet)[1])


def _next_vni(others: Iterable[Network]) -> int:
    used = {other.vni for other in others}
    vni = _FIRST_VNI
    while vni in used:
        vni += 1
    return vni
