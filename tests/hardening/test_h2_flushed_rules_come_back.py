"""`nft flush ruleset` (a reload of Debian's nftables.service) took all isolation away for good: the
daemon did not see it, and its next change was refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.network import sysctl
from skep.network.values import Backend, PublishedPort
from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    Lab,
    bridge,
    call_tcp,
    laboratory,
    replies,
    sandbox,
    unreachable,
)

_PATIENCE_S = 20.0


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """172.17.0.2 serves, published at 8080; 172.18.0.2 is on another network."""
    async with laboratory(tmp_path) as lab:
        for number in (17, 18):
            await lab.network.ensure_bridge(bridge(number))
            await lab.network.create_sandbox(sandbox(2, number))
        with lab.inside("box17-2"):
            await lab.serve_tcp("172.17.0.2", 80)
        await lab.network.publish("web", _port(8080))
        yield lab


def _port(number: int) -> tuple[PublishedPort, ...]:
    return (PublishedPort(host_port=number, backends=(Backend(address="172.17.0.2", port=80),)),)


async def _until_there(lab: Lab, line: str) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while line not in lab.run("nft", "list", "ruleset"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "words",
    [("flush", "ruleset"), ("delete", "table", "ip", "skept"), ("flush", "table", "ip", "skept")],
    ids=" ".join,
)
async def test_ports_and_isolation_come_back(lab: Lab, words: tuple[str, ...]) -> None:
    lab.run("nft", *words)
    await _until_there(lab, "dnat to 172.17.0.2:80")
    with lab.at_neighbour():
        published = call_tcp(HOST, 8080)
    assert await replies(published) == [NEIGHBOUR]
    with lab.inside("box18-2"):
        assert await unreachable(call_tcp("172.17.0.2", 80))


async def test_the_host_s_loopback_stays_shut(lab: Lab) -> None:
    await lab.serve_tcp("127.0.0.1", 9999)
    lab.run("nft", "flush", "ruleset")
    await _until_there(lab, "daddr 127.0.0.0/8 drop")
    with lab.inside("box17-2"):
        lab.route_loopback_via("172.17.0.1", "eth0")
        assert await unreachable(call_tcp("127.0.0.1", 9999))


async def test_a_firewall_that_cannot_be_edited_holds_up_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """iptables may wait for its lock for many seconds."""
    locked = threading.Event()
    monkeypatch.setattr("skep.network.kernel.open_passage", lambda *_: locked.wait(_PATIENCE_S))
    try:
        lab.run("nft", "add", "table", "ip", "theirs")
        await asyncio.sleep(0.5)
        lab.run("nft", "flush", "ruleset")
        await _until_there(lab, "dnat to 172.17.0.2:80")
        assert not locked.is_set()
    finally:
        locked.set()


async def test_a_change_right_after_it_is_made(lab: Lab) -> None:
    """Nobody had the time to see that the tables are gone."""
    lab.run("nft", "flush", "ruleset")
    await lab.network.publish("more", _port(8081))
    with lab.at_neighbour():
        calls = [call_tcp(HOST, port) for port in (8080, 8081)]
    assert await replies(*calls) == [NEIGHBOUR, NEIGHBOUR]


async def test_the_way_to_127_0_0_1_is_open_only_where_a_port_is_published(lab: Lab) -> None:
    """What no rule guards must not be there."""
    assert _leads(lab) == {17: "1", 18: "0"}
    assert await replies(call_tcp("127.0.0.1", 8080)) == ["172.17.0.1"]
    await lab.restart()
    await lab.network.repair((bridge(17), bridge(18)), (), {"web": _port(8080)})
    assert _leads(lab) == {17: "1", 18: "0"}
    await lab.network.unpublish("web")
    assert _leads(lab) == {17: "0", 18: "0"}


def _leads(lab: Lab) -> dict[int, str | None]:
    links = {number: lab.network._ports[f"net{number}"].link for number in (17, 18)}
    return {n: sysctl.read(f"net.ipv4.conf.{link}.route_localnet") for n, link in links.items()}
