"""Bridges in the kernel. Blocking; runs in KernelNetwork's worker thread, at home in the host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from skep.kit.errors import Conflict, Internal
from skep.network import links, sysctl
from skep.network.names import Names, bridge_mac
from skep.network.netlink import Netlink
from skep.network.sandboxes import BridgePort
from skep.network.values import Bridge

_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def ensure_bridge(netlink: Netlink, names: Names, bridge: Bridge) -> BridgePort:
    """Make the link exist with exactly its addresses, and switched on."""
    link, alias = names.bridge(bridge), names.alias_prefix + bridge.id
    _check_free(netlink, names, link, alias)
    netlink.apply(
        links.new_bridge(link, bridge_mac(bridge.id)),
        links.change_link(link, alias=alias, mtu=bridge.mtu),
    )
    index = links.index_of(netlink, link)
    if index is None:
        raise Internal(f"bridge {link} vanished while it was set up")
    _settings(link, bridge)
    _set_addresses(netlink, index, link, bridge)
    return BridgePort(link=link, index=index, mtu=bridge.mtu, icc=bridge.icc)


def _check_free(netlink: Netlink, names: Names, link: str, alias: str) -> None:
    """A link of that name is ours, or nobody's because we died while making it, or a conflict."""
    for each in links.all_links(netlink):
        if each.name != link or each.alias == alias:
            continue
        if each.kind != "bridge" or each.alias or not link.startswith(names.bridge_prefix):
            raise Conflict(f"the link name {link} is taken on this host: choose another")


def _settings(link: str, bridge: Bridge) -> None:
    if any(":" in each.subnet for each in bridge.subnets):
        name = link.replace(".", "/")
        sysctl.write(f"net.ipv6.conf.{name}.accept_dad", "0")  # or the first second is mute


def lead_loopback(links: Mapping[str, bool]) -> None:
    """Whether packets of the host to 127.0.0.1 may be led to containers on these links.

    The rules guard the way back; so that not all depends on them, it is open only where a port is
    published.
    """
    for link, leads in links.items():
        name = link.replace(".", "/")
        sysctl.write(f"net.ipv4.conf.{name}.route_localnet", "1" if leads else "0")


def forwards(version: int) -> bool:
    """Whether the host is a router for this IP version."""
    return sysctl.read(_FORWARDING[version]) == "1"


def forward(version: int) -> None:
    """Make it one. A router ignores router advertisements unless told otherwise: keep the host's
    own way out."""
    if version == 6:
        for name in sysctl.children("net.ipv6.conf"):
            if sysctl.read(f"net.ipv6.conf.{name}.accept_ra") == "1":
                sysctl.write(f"net.ipv6.conf.{name}.accept_ra", "2")
    sysctl.write(_FORWARDING[version], "1")


def _set_addresses(netlink: Netlink, index: int, link: str, bridge: Bridge) -> None:
    wanted = {
        ipaddress.ip_interface(f"{each.gateway}/{each.subnet.partition('/')[2]}")
        for each in bridge.subnets
        if each.gateway
    }
    present = set(links.addresses_of(netlink, index))
    netlink.apply(
        *(links.delete_address(index, each, link) for each in present - wanted),
        *(links.add_address(index, each, link) for each in wanted - present),
    )


def found_bridges(netlink: Netlink, names: Names) -> dict[str, str]:
    """Network id -> link name of the bridges that are ours."""
    return {
        link.alias.removeprefix(names.alias_prefix): link.name
        for link in links.all_links(netlink)
        if link.kind == "bridge" and link.alias.startswith(names.alias_prefix)
    }


def occupied_subnets(netlink: Netlink, names: Names) -> tuple[str, ...]:
    """Destinations of the host's routes, those over our bridges left out."""
    own = {link.index for link in links.all_links(netlink)
           if link.alias.startswith(names.alias_prefix)}  # fmt: skip
    routes = links.all_routes(netlink)
    return tuple(str(subnet) for subnet, index in routes.items() if index not in own)
