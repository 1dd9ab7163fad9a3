"""Ports of the host that lead to containers: from where, to whom, and who is seen calling."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from skep.kit.errors import Conflict, Internal
from skep.network.values import Backend, Bridge, PublishedPort, Sandbox, Subnet
from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    Lab,
    attachment,
    bridge,
    call_tcp,
    call_udp,
    replies,
    sandbox,
    unreachable,
)


def port(host_port: int, *lasts: int, **changes: Any) -> PublishedPort:
    """A host port that leads to port 80 of 172.17.0.<last>."""
    backends = tuple(Backend(address=f"172.17.0.{last}", port=80) for last in lasts)
    return PublishedPort(host_port=host_port, backends=backends, **changes)


async def _serving(lab: Lab, *lasts: int, **changes: Any) -> None:
    """A network whose members .<last> answer at port 80 with their number and who called."""
    await lab.network.ensure_bridge(bridge(**changes))
    for last in lasts:
        await lab.network.create_sandbox(sandbox(last))
        with lab.inside(f"box17-{last}"):
            await lab.serve_tcp(f"172.17.0.{last}", 80, str(last))
            await lab.serve_udp(f"172.17.0.{last}", 80, str(last))


async def test_another_machine_reaches_it_and_keeps_its_address(lab: Lab) -> None:
    await _serving(lab, 2)
    await lab.network.publish("web", (port(8080, 2), port(8080, 2, protocol="udp")))
    with lab.at_neighbour():
        calls = call_tcp(HOST, 8080), call_udp(HOST, 8080)
    assert await replies(*calls) == [f"2 {NEIGHBOUR}", f"2 {NEIGHBOUR}"]


async def test_the_host_itself_reaches_it_at_each_of_its_addresses(lab: Lab) -> None:
    await _serving(lab, 2)
    await lab.network.publish("web", (port(8080, 2), port(8080, 2, protocol="udp")))
    assert await call_tcp(HOST, 8080) == f"2 {HOST}"
    assert await call_tcp("127.0.0.1", 8080) == "2 172.17.0.1"
    assert await call_udp("127.0.0.1", 8080) == "2 172.17.0.1"


@pytest.mark.parametrize("filtered", [False, True])
async def test_a_container_reaches_it_at_the_host_s_address(lab: Lab, filtered: bool) -> None:
    """Its own port, one of its own network, one of another network; bridged packets filtered or
    not."""
    lab.bridge_netfilter(on=filtered)
    await _serving(lab, 2, 3)
    await lab.network.ensure_bridge(bridge(18))
    await lab.network.create_sandbox(sandbox(2, 18))
    await lab.network.publish("web", (port(8080, 2),))
    for sandbox_id in ("box17-2", "box17-3", "box18-2"):
        with lab.inside(sandbox_id):
            calls = call_tcp(HOST, 8080), call_tcp("172.17.0.1", 8080)
        seen = [reply.split()[0] for reply in await replies(*calls)]
        assert seen == ["2", "2"], sandbox_id


async def test_an_internal_network_reaches_no_port_of_another(lab: Lab) -> None:
    await _serving(lab, 2)
    await lab.network.ensure_bridge(bridge(18, internal=True))
    await lab.network.create_sandbox(sandbox(2, 18))
    await lab.network.publish("web", (port(8080, 2),))
    with lab.inside("box18-2"):
        call = call_tcp("172.18.0.1", 8080)
    assert await unreachable(call)


async def test_connections_are_spread_over_all_backends(lab: Lab) -> None:
    await _serving(lab, 2, 3, 4)
    await lab.network.publish("web", (port(8080, 2, 3, 4),))
    with lab.at_neighbour():
        calls = [call_tcp(HOST, 8080) for _ in range(60)]
    assert set(await asyncio.gather(*calls)) == {f"{n} {NEIGHBOUR}" for n in (2, 3, 4)}


async def test_backends_can_come_and_go(lab: Lab) -> None:
    await _serving(lab, 2, 3)
    for lasts, seen in (((2,), {"2"}), ((2, 3), {"2", "3"}), ((3,), {"3"}), ((), set())):
        await lab.network.publish("web", (port(8080, *lasts),))
        with lab.at_neighbour():
            calls = [call_tcp(HOST, 8080) for _ in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {each.split()[0] for each in answers if isinstance(each, str)} == seen


async def test_without_backends_it_is_refused_at_once(lab: Lab) -> None:
    await lab.network.publish("web", (port(8080), port(8081, protocol="udp")))
    with lab.at_neighbour():
        tcp, udp = call_tcp(HOST, 8080), call_udp(HOST, 8081)
    for call in (tcp, udp, call_tcp(HOST, 8080), call_tcp("127.0.0.1", 8080)):
        with pytest.raises(ConnectionRefusedError):
            await call


async def test_a_port_at_one_address_is_at_no_other(lab: Lab) -> None:
    await _serving(lab, 2, 3)
    await lab.network.publish("local", (port(8080, 2, host_ip="127.0.0.1"),))
    await lab.network.publish("wide", (port(8080, 3, host_ip=HOST),))
    with lab.at_neighbour():
        lab.route_loopback_via(HOST, "wire1")
        calls = call_tcp(HOST, 8080), call_tcp("127.0.0.1", 8080, source=NEIGHBOUR)
    assert await calls[0] == f"3 {NEIGHBOUR}"
    assert await unreachable(calls[1])
    assert await call_tcp("127.0.0.1", 8080) == "2 172.17.0.1"
    assert await call_tcp(HOST, 8080) == f"3 {HOST}"


async def test_a_container_cannot_reach_the_host_s_loopback(lab: Lab) -> None:
    await _serving(lab, 2)
    await lab.serve_tcp("127.0.0.1", 5000, "secret")
    with lab.inside("box17-2"):
        lab.route_loopback_via("172.17.0.1", "eth0")
        call = call_tcp("127.0.0.1", 5000, source="172.17.0.2")
    assert await unreachable(call)


async def test_ipv6_is_published_like_ipv4(lab: Lab) -> None:
    subnets = (
        Subnet(subnet="172.17.0.0/16", gateway="172.17.0.1"),
        Subnet(subnet="fd00:17::/64", gateway="fd00:17::1"),
    )
    await lab.network.ensure_bridge(Bridge(id="net17", subnets=subnets))
    dual = attachment(
        2,
        interface_addresses=("172.17.0.2/16", "fd00:17::2/64"),
        gateways=("172.17.0.1", "fd00:17::1"),
    )
    await lab.network.create_sandbox(Sandbox(id="dual", attachments=(dual,)))
    with lab.inside("dual"):
        await lab.serve_tcp("172.17.0.2", 80, "four")
        await lab.serve_tcp("fd00:17::2", 80, "six")
    both = (Backend(address="172.17.0.2", port=80), Backend(address="fd00:17::2", port=80))
    await lab.network.publish("dual", (PublishedPort(host_port=8080, backends=both),))
    lab.run("ip", "addr", "add", "fd00:77::1/64", "dev", "wire", "nodad")
    with lab.at_neighbour():
        lab.run("ip", "addr", "add", "fd00:77::2/64", "dev", "wire1", "nodad")
        calls = call_tcp(HOST, 8080), call_tcp("fd00:77::1", 8080)
    assert await replies(*calls) == [f"four {NEIGHBOUR}", "six fd00:77::2"]
    with pytest.raises(Conflict, match="Bind for :::8080 failed: port is already allocated"):
        await lab.network.publish("other", (PublishedPort(
            host_port=8080, backends=both, host_ip="::"),))  # fmt: skip


async def test_a_port_of_another_container_is_refused_in_docker_s_words(lab: Lab) -> None:
    await _serving(lab, 2, 3)
    await lab.network.publish("first", (port(8080, 2),))
    with pytest.raises(Conflict) as caught:
        await lab.network.publish("second", (port(9090, 3), port(8080, 3)))
    assert str(caught.value) == "Bind for 0.0.0.0:8080 failed: port is already allocated"
    await lab.network.publish("third", (port(9090, 3),))


async def test_a_port_of_another_program_is_refused(lab: Lab) -> None:
    await lab.serve_tcp("0.0.0.0", 8080)
    with pytest.raises(Conflict, match=r"Bind for 0\.0\.0\.0:8080 failed"):
        await lab.network.publish("web", (port(8080),))


async def test_another_program_cannot_take_a_published_port(lab: Lab) -> None:
    await lab.network.publish("web", (port(8080), port(8080, protocol="udp")))
    with pytest.raises(OSError, match="in use"):
        await lab.serve_tcp("0.0.0.0", 8080)
    with pytest.raises(OSError, match="in use"):
        await lab.serve_udp("0.0.0.0", 8080)
    await lab.network.unpublish("web")
    await lab.serve_tcp("0.0.0.0", 8080)


async def test_an_address_that_the_host_has_not_is_refused(lab: Lab) -> None:
    with pytest.raises(Internal, match=r"failed to bind host port for 10\.9\.9\.9:80/tcp"):
        await lab.network.publish("web", (port(80, host_ip="10.9.9.9"),))


async def test_port_0_is_a_free_one(lab: Lab) -> None:
    chosen = await lab.network.publish("web", (port(0), port(0), port(0, protocol="udp")))
    numbers = [each.host_port for each in chosen]
    assert all(32768 <= number <= 60999 for number in numbers)
    assert numbers[0] != numbers[1]
    assert await lab.network.publish("web", chosen) == chosen


async def test_a_range_gives_its_first_free_port(lab: Lab) -> None:
    span = port(8000, host_port_end=8002)
    first = await lab.network.publish("a", (span,))
    second = await lab.network.publish("b", (span, span))
    assert [each.host_port for each in (*first, *second)] == [8000, 8001, 8002]
    with pytest.raises(Conflict, match="all ports are allocated"):
        await lab.network.publish("c", (span,))


async def test_a_udp_caller_is_led_to_the_new_backend_at_once(lab: Lab) -> None:
    """A flow of packets that never ends must not stay with a backend that has gone."""
    await _serving(lab, 2, 3)
    await lab.network.publish("web", (port(8080, 2, protocol="udp"),))
    with lab.at_neighbour():
        caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    caller.connect((HOST, 8080))

    async def ask() -> str:
        caller.send(b"?")
        loop = asyncio.get_running_loop()
        return (await asyncio.wait_for(loop.sock_recv(caller, 100), 1)).decode()

    with caller:
        assert await ask() == f"2 {NEIGHBOUR}"
        await lab.network.publish("web", (port(8080, 3, protocol="udp"),))
        assert await ask() == f"3 {NEIGHBOUR}"
