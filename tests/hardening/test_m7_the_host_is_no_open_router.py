"""A host that was no router before became one for everybody: whoever could reach it could reach
every network that it is on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from skep.network import netns, sysctl
from skep.network.kernel import KernelNetwork
from skep.network.values import Backend, PublishedPort, Subnet
from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    THIRD,
    Lab,
    bridge,
    call_tcp,
    laboratory,
    replies,
    sandbox,
    third_machine,
    unreachable,
)


@asynccontextmanager
async def _between(tmp_path: Path, *, forwards: bool) -> AsyncIterator[Lab]:
    """A laboratory whose host has a neighbour on each of two networks, with a bridge of ours.

    forwards   whether the host was a router before.
    """
    async with laboratory(tmp_path, forwards=forwards) as lab:
        with third_machine(lab.root, lab.host) as third:
            await lab.serve_tcp("0.0.0.0", 8000)
            with lab.at_neighbour():
                lab.run("ip", "route", "add", "default", "via", HOST)
                links_are_up = [call_tcp(HOST, 8000)]
            with netns.inside(third):
                await lab.serve_tcp(THIRD, 80)
                links_are_up.append(call_tcp(HOST, 8000))
            assert await replies(*links_are_up) == [NEIGHBOUR, THIRD]
            await lab.network.ensure_bridge(bridge())
            yield lab


async def _is_a_router(lab: Lab) -> bool:
    """Whether the host leads packets from one neighbour to the other."""
    with lab.at_neighbour():
        across = call_tcp(THIRD, 80)
    return not await unreachable(across)


async def test_what_is_none_of_ours_is_not_forwarded(tmp_path: Path) -> None:
    async with _between(tmp_path, forwards=False) as lab:
        assert sysctl.read("net.ipv4.ip_forward") == "1"
        assert not await _is_a_router(lab)


async def test_containers_are_reached_and_reach_out(tmp_path: Path) -> None:
    async with laboratory(tmp_path, forwards=False) as lab:
        await lab.network.ensure_bridge(bridge())
        await lab.network.create_sandbox(sandbox(2))
        with lab.inside("box17-2"):
            await lab.serve_tcp("172.17.0.2", 80)
        backends = (Backend(address="172.17.0.2", port=80),)
        await lab.network.publish("web", (PublishedPort(host_port=8080, backends=backends),))
        with lab.at_neighbour():
            await lab.serve_tcp(NEIGHBOUR, 80)
            published = call_tcp(HOST, 8080)
        with lab.inside("box17-2"):
            outside = call_tcp(NEIGHBOUR, 80)
        assert await replies(published, outside) == [NEIGHBOUR, HOST]


@pytest.mark.parametrize("repair", [True, False])
async def test_a_restarted_daemon_still_knows_that_it_made_the_host_a_router(
    tmp_path: Path, repair: bool
) -> None:
    async with _between(tmp_path, forwards=False) as lab:
        await lab.restart()
        if repair:
            await lab.network.repair((bridge(),), (), {})
        assert not await _is_a_router(lab)


async def test_a_router_stays_one(tmp_path: Path) -> None:
    async with _between(tmp_path, forwards=True) as lab:
        assert await _is_a_router(lab)


async def test_who_wants_a_router_may_have_one_and_change_his_mind(tmp_path: Path) -> None:
    """`--ip-forward-no-drop`, from one start to the next."""
    async with _between(tmp_path, forwards=False) as lab:
        for drops in (False, True):
            await lab.network.close()
            lab.network = KernelNetwork(tmp_path / "exec", "t", drops=drops)
            await lab.network.open()
            await lab.network.repair((bridge(),), (), {})
            assert await _is_a_router(lab) != drops


async def test_another_instance_of_skep_is_none_of_the_strangers(tmp_path: Path) -> None:
    async with laboratory(tmp_path, forwards=False) as lab:
        await lab.network.ensure_bridge(bridge())
        other = KernelNetwork(tmp_path / "other", "u")
        await other.open()
        try:
            await other.ensure_bridge(bridge(18))
            await other.create_sandbox(sandbox(2, 18))
            with lab.at_neighbour():
                await lab.serve_tcp(NEIGHBOUR, 80)
            place = netns.open_at(other.netns_path("box18-2"))
            with netns.inside(place):
                outside = call_tcp(NEIGHBOUR, 80)
            assert await replies(outside) == [HOST]
        finally:
            await other.clear()
            await other.close()


async def test_it_is_so_for_each_ip_version_that_we_switched_on(tmp_path: Path) -> None:
    async with laboratory(tmp_path, forwards=True) as lab:
        sysctl.write("net.ipv6.conf.all.forwarding", "0")
        subnets = (
            Subnet(subnet="172.17.0.0/16", gateway="172.17.0.1"),
            Subnet(subnet="fd00:17::/64", gateway="fd00:17::1"),
        )
        await lab.network.ensure_bridge(bridge(subnets=subnets))
        dropped = [
            "drop" in lab.run("nft", "list", "chain", version, "skept", "strangers")
            for version in ("ip", "ip6")
        ]
        assert dropped == [False, True]
