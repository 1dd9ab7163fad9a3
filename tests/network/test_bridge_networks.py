"""What members of a network, other networks, the host and other machines can reach."""

from __future__ import annotations

from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    Lab,
    bridge,
    call_tcp,
    sandbox,
)


async def test_members_of_a_network_reach_each_other_and_see_their_addresses(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge())
    await lab.network.create_sandbox(sandbox(2))
    await lab.network.create_sandbox(sandbox(3))
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)
    with lab.inside("box17-3"):
        call = call_tcp("172.17.0.2", 80)
    assert await call == "172.17.0.3"


async def test_what_leaves_the_host_carries_its_address(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge())
    await lab.network.create_sandbox(sandbox(2))
    with lab.at_neighbour():
        await lab.serve_tcp(NEIGHBOUR, 80)
    with lab.inside("box17-2"):
        call = call_tcp(NEIGHBOUR, 80)
    assert await call == HOST
