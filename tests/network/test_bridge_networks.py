"""What members of a network, other networks, the host and other machines can reach."""

from __future__ import annotations

from typing import Any

import pytest

from skep.kit.errors import InvalidArgument
from skep.network import sysctl
from skep.network.values import Attachment, Bridge, Sandbox, Subnet
from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    Lab,
    attachment,
    bridge,
    call_tcp,
    replies,
    sandbox,
    unreachable,
)


async def _two(lab: Lab, **changes: Any) -> None:
    """A network with members .2, which serves, and .3."""
    await lab.network.ensure_bridge(bridge(**changes))
    await lab.network.create_sandbox(sandbox(2))
    await lab.network.create_sandbox(sandbox(3))
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)


async def test_members_of_a_network_reach_each_other_and_see_their_addresses(lab: Lab) -> None:
    await _two(lab)
    with lab.inside("box17-3"):
        call = call_tcp("172.17.0.2", 80)
    assert await call == "172.17.0.3"


async def test_the_host_reaches_its_containers_at_their_addresses(lab: Lab) -> None:
    await _two(lab)
    assert await call_tcp("172.17.0.2", 80) == "172.17.0.1"


async def test_what_leaves_the_host_carries_its_address(lab: Lab) -> None:
    await _two(lab)
    with lab.at_neighbour():
        await lab.serve_tcp(NEIGHBOUR, 80)
    with lab.inside("box17-3"):
        call = call_tcp(NEIGHBOUR, 80)
    assert await call == HOST


async def test_without_masquerade_the_own_address_leaves_the_host(lab: Lab) -> None:
    await _two(lab, masquerade=False)
    with lab.at_neighbour():
        lab.run("ip", "route", "add", "172.17.0.0/16", "via", HOST)
        await lab.serve_tcp(NEIGHBOUR, 80)
    with lab.inside("box17-3"):
        call = call_tcp(NEIGHBOUR, 80)
    assert await call == "172.17.0.3"


async def test_networks_do_not_reach_each_other(lab: Lab) -> None:
    await _two(lab)
    await lab.network.ensure_bridge(bridge(18))
    await lab.network.create_sandbox(sandbox(2, 18))
    with lab.inside("box18-2"):
        call = call_tcp("172.17.0.2", 80)
    assert await unreachable(call)


async def test_another_machine_does_not_reach_what_is_not_published(lab: Lab) -> None:
    await _two(lab)
    with lab.at_neighbour():
        lab.run("ip", "route", "add", "172.17.0.0/16", "via", HOST)
        call = call_tcp("172.17.0.2", 80)
    assert await unreachable(call)


async def test_an_internal_network_reaches_its_members_and_the_host_only(lab: Lab) -> None:
    await _two(lab, internal=True)
    await lab.serve_tcp("172.17.0.1", 80, "host")
    with lab.at_neighbour():
        await lab.serve_tcp(NEIGHBOUR, 80)
    with lab.inside("box17-3"):
        inside, outside = call_tcp("172.17.0.2", 80), call_tcp(NEIGHBOUR, 80)
        host = call_tcp("172.17.0.1", 80)
    assert await inside == "172.17.0.3"
    assert await host == "host 172.17.0.3"
    assert await unreachable(outside)


async def test_without_icc_members_reach_the_outside_but_not_each_other(lab: Lab) -> None:
    await _two(lab, icc=False)
    with lab.at_neighbour():
        await lab.serve_tcp(NEIGHBOUR, 80)
    with lab.inside("box17-3"):
        inside, outside = call_tcp("172.17.0.2", 80), call_tcp(NEIGHBOUR, 80)
    assert await outside == HOST
    assert await unreachable(inside)


async def test_frames_of_a_bridge_pass_when_the_host_filters_bridged_packets(lab: Lab) -> None:
    lab.bridge_netfilter(on=True)
    await _two(lab)
    with lab.inside("box17-3"):
        call = call_tcp("172.17.0.2", 80)
    assert await call == "172.17.0.3"


async def test_a_sandbox_on_two_networks_reaches_both(lab: Lab) -> None:
    await _two(lab)
    await lab.network.ensure_bridge(bridge(18))
    both = (attachment(9), attachment(9, 18, "eth1"))
    await lab.network.create_sandbox(Sandbox(id="both", attachments=both))
    await lab.network.create_sandbox(sandbox(2, 18))
    with lab.inside("box18-2"):
        await lab.serve_tcp("172.18.0.2", 80)
    with lab.inside("both"):
        calls = call_tcp("172.17.0.2", 80), call_tcp("172.18.0.2", 80)
    assert await replies(*calls) == ["172.17.0.9", "172.18.0.9"]


async def test_a_running_sandbox_can_be_plugged_and_unplugged(lab: Lab) -> None:
    await _two(lab)
    await lab.network.create_sandbox(Sandbox(id="late"))
    await lab.network.connect("late", attachment(7))
    with lab.inside("late"):
        call = call_tcp("172.17.0.2", 80)
    assert await call == "172.17.0.7"
    await lab.network.disconnect("late", "net17")
    with lab.inside("late"):
        assert "eth0" not in lab.run("ip", "link")
        assert await unreachable(call_tcp("172.17.0.2", 80))


async def test_unplugging_the_way_out_takes_the_next_network_s(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge(17))
    await lab.network.ensure_bridge(bridge(18))
    both = (attachment(9), attachment(9, 18, "eth1"))
    await lab.network.create_sandbox(Sandbox(id="both", attachments=both))
    with lab.inside("both"):
        assert "default via 172.17.0.1 dev eth0" in lab.run("ip", "route")
    await lab.network.disconnect("both", "net17")
    with lab.inside("both"):
        assert "default via 172.18.0.1 dev eth1" in lab.run("ip", "route")


async def test_ipv6_members_reach_each_other_and_the_outside(lab: Lab) -> None:
    subnets = (Subnet(subnet="fd00:17::/64", gateway="fd00:17::1"),)
    await lab.network.ensure_bridge(Bridge(id="six", subnets=subnets))
    for last in (2, 3):
        only = Attachment(
            network_id="six",
            ifname="eth0",
            interface_addresses=(f"fd00:17::{last}/64",),
            gateways=("fd00:17::1",),
        )
        await lab.network.create_sandbox(Sandbox(id=f"six{last}", attachments=(only,)))
    lab.run("ip", "addr", "add", "fd00:77::1/64", "dev", "wire", "nodad")
    with lab.at_neighbour():
        lab.run("ip", "addr", "add", "fd00:77::2/64", "dev", "wire1", "nodad")
        await lab.serve_tcp("fd00:77::2", 80)
    with lab.inside("six2"):
        await lab.serve_tcp("fd00:17::2", 80)
    with lab.inside("six3"):
        calls = call_tcp("fd00:17::2", 80), call_tcp("fd00:77::2", 80)
    assert await replies(*calls) == ["fd00:17::3", "fd00:77::1"]


async def test_settings_asked_for_are_the_sandbox_s_own(lab: Lab) -> None:
    name = "net.ipv4.ip_unprivileged_port_start"
    await lab.network.create_sandbox(Sandbox(id="set", sysctls={name: "555"}))
    await lab.network.create_sandbox(Sandbox(id="plain"))
    with lab.inside("set"):
        assert sysctl.read(name) == "555"
    with lab.inside("plain"):
        assert sysctl.read(name) == "0"
    assert sysctl.read(name) == "1024"


async def test_a_setting_that_is_not_of_the_network_is_refused(lab: Lab) -> None:
    with pytest.raises(InvalidArgument, match=r"only net\.\*"):
        await lab.network.create_sandbox(Sandbox(id="bad", sysctls={"kernel.panic": "1"}))
