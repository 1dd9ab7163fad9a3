"""What everyone may count on, from the real network and from the fake alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, NotFound
from skep.network.host import HostNetwork
from skep.network.values import Backend, Inventory, PublishedPort, Sandbox, VirtualAddress
from skep.testing.netlab import attachment, bridge, open_network, sandbox, two_machines
from skep.testing.network import FakeNetwork


@pytest.fixture(params=["kernel", "fake"])
async def network(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HostNetwork]:
    if request.param == "fake":
        yield FakeNetwork(tmp_path)
        return
    with two_machines(tmp_path):
        real = open_network(tmp_path)
        await real.open()
        try:
            yield real
        finally:
            await real.clear()
            await real.close()


def port(host_port: int, *, end: int = 0) -> PublishedPort:
    backends = (Backend(address="172.17.0.2", port=80),)
    return PublishedPort(host_port=host_port, backends=backends, host_port_end=end)


async def test_what_was_made_is_found_and_what_was_removed_is_not(network: HostNetwork) -> None:
    assert await network.discover() == Inventory()
    for _ in range(2):
        await network.ensure_bridge(bridge())
        await network.create_sandbox(sandbox(2))
    bridges = frozenset({"net17"})
    both = Inventory(bridges=bridges, sandboxes=frozenset({"box17-2"}))
    assert await network.discover() == both
    for _ in range(2):
        await network.remove_sandbox("box17-2")
    assert await network.discover() == Inventory(bridges=bridges)
    for _ in range(2):
        await network.remove_bridge("net17")
    assert await network.discover() == Inventory()


async def test_what_is_missing_is_not_found(network: HostNetwork) -> None:
    with pytest.raises(NotFound, match="network net17 not found"):
        await network.create_sandbox(sandbox(2))
    for call in (
        network.connect("ghost", attachment(2)),
        network.disconnect("ghost", "net17"),
        network.set_virtual_addresses("ghost", ()),
    ):
        with pytest.raises(NotFound, match="sandbox ghost not found"):
            await call
    await network.create_sandbox(Sandbox(id="box"))
    with pytest.raises(NotFound, match="network net17 not found"):
        await network.connect("box", attachment(2))


async def test_an_interface_name_is_used_once(network: HostNetwork) -> None:
    for number in (17, 18):
        await network.ensure_bridge(bridge(number))
    await network.create_sandbox(sandbox(2))
    with pytest.raises(Conflict, match="eth0 exists already"):
        await network.connect("box17-2", attachment(2, 18))
    for _ in range(2):
        await network.connect("box17-2", attachment(2, 18, "eth1"))
        await network.disconnect("box17-2", "net18")


async def test_a_taken_port_is_refused_and_nothing_changes(network: HostNetwork) -> None:
    first = await network.publish("a", (port(8080),))
    with pytest.raises(Conflict) as caught:
        await network.publish("b", (port(9090), port(8080)))
    assert str(caught.value) == "Bind for 0.0.0.0:8080 failed: port is already allocated"
    assert await network.publish("a", first) == first
    await network.publish("c", (port(9090),))
    await network.unpublish("a")
    await network.publish("b", (port(8080),))


async def test_ports_are_chosen_when_asked_for(network: HostNetwork) -> None:
    chosen = await network.publish("a", (port(8000, end=8001), port(0), port(0)))
    assert chosen[0] == port(8000)
    assert len({each.host_port for each in chosen}) == 3
    assert await network.publish("b", (port(8000, end=8001),)) == (port(8001),)
    with pytest.raises(Conflict, match=r"Bind for 0\.0\.0\.0:8000-8001 failed: all ports are"):
        await network.publish("c", (port(8000, end=8001),))


async def test_publishing_again_replaces_all_that_an_owner_has(network: HostNetwork) -> None:
    await network.publish("a", (port(8080), port(8081)))
    await network.publish("a", (port(8081), port(8082)))
    await network.publish("b", (port(8080),))
    with pytest.raises(Conflict):
        await network.publish("b", (port(8081),))


async def test_virtual_addresses_can_be_set_again_and_again(network: HostNetwork) -> None:
    await network.create_sandbox(Sandbox(id="box"))
    for backends in (("10.0.0.3",), ("10.0.0.3", "10.0.0.4"), (), ()):
        address = VirtualAddress(address="10.0.0.2", backends=backends)
        await network.set_virtual_addresses("box", (address,))
    await network.set_virtual_addresses("box", ())


async def test_repair_makes_exactly_what_is_wanted(network: HostNetwork) -> None:
    await network.ensure_bridge(bridge(17))
    await network.create_sandbox(sandbox(2, 17))
    await network.publish("a", (port(8080),))
    failed = await network.repair([bridge(18)], [sandbox(2, 18), sandbox(9, 77)], {"b": (port(1),)})
    assert failed.keys() == {"box77-9"}
    found = await network.discover()
    assert found == Inventory(bridges=frozenset({"net18"}), sandboxes=frozenset({"box18-2"}))
    await network.publish("c", (port(8080),))
