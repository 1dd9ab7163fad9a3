"""Making, finding again and removing sandboxes: idempotent, complete, quick."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, NotFound
from skep.network import links, netns
from skep.network.kernel import KernelNetwork
from skep.network.netlink import Netlink
from skep.network.values import Backend, Inventory, PublishedPort, Sandbox
from skep.testing.netlab import HOST, NEIGHBOUR, Lab, attachment, bridge, call_tcp, sandbox


def _host_links() -> set[str]:
    with Netlink() as netlink:
        return {link.name for link in links.all_links(netlink)}


async def test_making_everything_twice_changes_nothing(lab: Lab) -> None:
    for _ in range(2):
        await lab.network.ensure_bridge(bridge())
        await lab.network.create_sandbox(sandbox(2))
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)
    assert await call_tcp("172.17.0.2", 80) == "172.17.0.1"
    before = _host_links()
    await lab.network.create_sandbox(sandbox(2))
    assert _host_links() == before


async def test_removing_leaves_nothing(lab: Lab) -> None:
    before = _host_links()
    await lab.network.ensure_bridge(bridge())
    await lab.network.create_sandbox(sandbox(2))
    for _ in range(2):
        await lab.network.remove_sandbox("box17-2")
        await lab.network.remove_bridge("net17")
    assert _host_links() == before
    assert not lab.path("box17-2").exists()
    assert await lab.network.discover() == Inventory()


async def test_a_network_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises(NotFound, match="network net17 not found"):
        await lab.network.create_sandbox(sandbox(2))
    with pytest.raises(NotFound, match="sandbox ghost not found"):
        await lab.network.connect("ghost", attachment(2))


async def test_a_link_name_of_somebody_else_is_refused(lab: Lab) -> None:
    with pytest.raises(Conflict, match="wire is taken"):
        await lab.network.ensure_bridge(bridge(link="wire"))


async def test_an_address_can_be_given_again_at_once(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge())
    for turn in range(5):
        name = f"turn{turn}"
        await lab.network.create_sandbox(Sandbox(id=name, attachments=(attachment(2),)))
        with lab.inside(name):
            await lab.serve_tcp("172.17.0.2", 80, name)
        assert await call_tcp("172.17.0.2", 80) == f"{name} 172.17.0.1"
        await lab.network.remove_sandbox(name)


async def test_fifty_sandboxes_come_and_go_quickly(lab: Lab) -> None:
    """Generous bounds for a busy machine; they take some 2 ms each to make and 2 to remove."""
    await lab.network.ensure_bridge(bridge())
    boxes = [sandbox(last) for last in range(2, 52)]
    start = time.monotonic()
    await asyncio.gather(*(lab.network.create_sandbox(box) for box in boxes))
    made = time.monotonic()
    await asyncio.gather(*(lab.network.remove_sandbox(box.id) for box in boxes))
    assert made - start < 1.0
    assert time.monotonic() - made < 1.0
    assert await lab.network.discover() == Inventory(bridges=frozenset({"net17"}))


async def test_after_a_restart_everything_is_found_and_goes_on(lab: Lab) -> None:
    ports = (PublishedPort(host_port=8080, backends=(Backend(address="172.17.0.2", port=80),)),)
    await lab.network.ensure_bridge(bridge())
    await lab.network.create_sandbox(sandbox(2))
    await lab.network.publish("web", ports)
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)
    await lab.restart()
    with lab.at_neighbour():
        call = call_tcp(HOST, 8080)
    assert await call == NEIGHBOUR, "the rules work while the daemon is away"
    assert await lab.network.discover() == Inventory(
        bridges=frozenset({"net17"}), sandboxes=frozenset({"box17-2"})
    )
    assert await lab.network.repair([bridge()], [sandbox(2)], {"web": ports}) == {}
    with lab.at_neighbour():
        call = call_tcp(HOST, 8080)
    assert await call == NEIGHBOUR
    with pytest.raises(Conflict):
        await lab.network.publish("other", ports)


async def test_repair_removes_what_nobody_wants(lab: Lab) -> None:
    before = _host_links()
    for number in (17, 18):
        await lab.network.ensure_bridge(bridge(number))
        await lab.network.create_sandbox(sandbox(2, number))
    await lab.restart()
    assert await lab.network.repair([bridge(17)], [sandbox(2, 17)], {}) == {}
    assert await lab.network.discover() == Inventory(
        bridges=frozenset({"net17"}), sandboxes=frozenset({"box17-2"})
    )
    assert len(_host_links() - before) == 2, "one bridge, one port"


async def test_repair_makes_what_is_missing(lab: Lab) -> None:
    """Killed half-way: a bridge without its alias, a namespace that was never bound, a sandbox
    whose links are gone."""
    await lab.network.ensure_bridge(bridge())
    await lab.network.create_sandbox(sandbox(3))
    with lab.inside("box17-3"):
        lab.run("ip", "link", "del", "eth0")
    lab.path("box17-2").touch()
    await lab.restart()
    assert await lab.network.repair([bridge()], [sandbox(2), sandbox(3)], {}) == {}
    for last in (2, 3):
        with lab.inside(f"box17-{last}"):
            await lab.serve_tcp(f"172.17.0.{last}", 80)
        assert await call_tcp(f"172.17.0.{last}", 80) == "172.17.0.1"


async def test_repair_says_what_could_not_be(lab: Lab) -> None:
    ports = (PublishedPort(host_port=8080, backends=()),)
    await lab.serve_tcp("0.0.0.0", 8080)
    failed = await lab.network.repair([], [sandbox(2)], {"web": ports})
    assert failed.keys() == {"web", "box17-2"}


async def test_two_instances_on_one_host_do_not_see_each_other(lab: Lab, tmp_path: Path) -> None:
    other = KernelNetwork(tmp_path / "other", "u")
    await other.open()
    try:
        await lab.network.ensure_bridge(bridge())
        await other.ensure_bridge(bridge(18, id="net17"))
        await other.repair([], [], {})
        assert await lab.network.discover() == Inventory(bridges=frozenset({"net17"}))
        await lab.network.create_sandbox(sandbox(2))
    finally:
        await other.clear()
        await other.close()
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)
    assert await call_tcp("172.17.0.2", 80) == "172.17.0.1"


async def test_the_event_loop_s_thread_never_leaves_the_host(lab: Lab) -> None:
    own = Path("/proc/thread-self/ns/net")
    before = own.readlink()
    await lab.network.ensure_bridge(bridge())
    making = asyncio.gather(*(lab.network.create_sandbox(sandbox(n)) for n in range(2, 12)))
    while not making.done():
        assert own.readlink() == before
        await asyncio.sleep(0)
    await making


async def test_subnets_of_the_host_are_told_but_not_our_own(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge())
    lab.run("ip", "route", "add", "192.168.7.0/24", "via", NEIGHBOUR)
    occupied = await lab.network.occupied_subnets()
    assert set(occupied) >= {"10.77.0.0/24", "192.168.7.0/24"}
    assert not any(subnet.startswith("172.17.") for subnet in occupied)


def test_a_lost_namespace_is_seen_as_not_bound(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not netns.is_bound(tmp_path / "file")
    assert not netns.is_bound(tmp_path / "nothing")
