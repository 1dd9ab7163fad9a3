"""The network between a playground's nodes: a bridge in a namespace without a way outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path

from skep.kit.errors import Internal
from skep.network import links, netns
from skep.network.netlink import Netlink
from skep.playground.places import MachinePlace, Places

_BRIDGE = "switch"
_BRIDGE_MAC = "02:d5:00:00:01:00"
_MTU = 1500


def create(places: Places) -> None:
    """Make the switch's namespace and the bridge in it. Idempotent."""
    netns.prepare_directory(places.netns_folder)
    if not netns.is_bound(places.switch):
        _new_namespace(places.switch)
    with _inside(places) as netlink:
        netlink.apply(links.new_bridge(_BRIDGE, _BRIDGE_MAC), links.change_link(_BRIDGE))


def plug(places: Places, machine: MachinePlace) -> None:
    """Make a node's namespace, with its link and address."""
    _new_namespace(machine.netns)
    inner = netns.open_at(machine.netns)
    try:
        with _inside(places) as netlink:
            netlink.apply(
                links.new_veth(
                    machine.port,
                    bridge_index=_index_of_bridge(netlink),
                    netns_fd=inner,
                    ifname="eth0",
                    mac=machine.mac,
                    mtu=_MTU,
                ),
                links.change_link(machine.port),
            )
        with netns.inside(inner), Netlink() as netlink:
            loopback, link = (links.index_of(netlink, name) for name in ("lo", "eth0"))
            assert loopback is not None
            assert link is not None
            netlink.apply(
                links.link_up(loopback),
                links.add_address(link, ip_interface(f"{machine.address}/24"), machine.name),
                links.link_up(link),
            )
    finally:
        os.close(inner)


def cut(places: Places, machine: MachinePlace) -> None:
    """Nothing reaches the node or comes from it any more. It is not told: its link stays up, as
    when a network beyond its own cable breaks."""
    with _inside(places) as netlink:
        netlink.apply(links.set_master(machine.port, 0))


def mend(places: Places, machine: MachinePlace) -> None:
    with _inside(places) as netlink:
        netlink.apply(links.set_master(machine.port, _index_of_bridge(netlink)))


def namespaces(places: Places) -> list[Path]:
    """Those of the nodes that are there now."""
    return [path for path in places.netns_folder.glob("n*") if netns.is_bound(path)]


def remove(places: Places) -> None:
    """Let go of all namespaces; links and bridge go with them. Idempotent."""
    for path in places.netns_folder.glob("*"):
        netns.release(path)
    netns.remove_directory(places.netns_folder)


@contextmanager
def _inside(places: Places) -> Iterator[Netlink]:
    switch = netns.open_at(places.switch)
    try:
        with netns.inside(switch), Netlink() as netlink:
            yield netlink
    finally:
        os.close(switch)


def _index_of_bridge(netlink: Netlink) -> int:
    bridge = links.index_of(netlink, _BRIDGE)
    if bridge is None:
        raise Internal("the playground's switch is gone: `skep playground down` and up")
    return bridge


def _new_namespace(path: Path) -> None:
    home = netns.open_own()
    try:
        netns.make(path, home)
        netns.enter(home)
    finally:
        os.close(home)
