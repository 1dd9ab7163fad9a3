"""Containers work beside a program whose FORWARD chain drops by default, as dockerd's does."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from skep.network.values import Backend, PublishedPort
from skep.testing.netlab import (
    HOST,
    NEIGHBOUR,
    Lab,
    bridge,
    call_tcp,
    open_network,
    replies,
    sandbox,
    two_machines,
    unreachable,
)

PROGRAMS = ("iptables-nft", "iptables-legacy")


def _drop_by_default(lab: Lab, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    lab.run(program, "-P", "FORWARD", "DROP")


async def _serve(lab: Lab) -> None:
    await lab.network.ensure_bridge(bridge())
    for last in (2, 3):
        await lab.network.create_sandbox(sandbox(last))
    with lab.inside("box17-2"):
        await lab.serve_tcp("172.17.0.2", 80)
    backends = (Backend(address="172.17.0.2", port=80),)
    await lab.network.publish("web", (PublishedPort(host_port=8080, backends=backends),))


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_default_of_drop_stops_nothing_of_ours(lab: Lab, program: str) -> None:
    """Neither what goes out, nor published ports, nor (with bridged frames filtered) members."""
    lab.bridge_netfilter(on=True)
    _drop_by_default(lab, program)
    await _serve(lab)
    with lab.at_neighbour():
        await lab.serve_tcp(NEIGHBOUR, 80)
        published = call_tcp(HOST, 8080)
    with lab.inside("box17-3"):
        member, outside = call_tcp("172.17.0.2", 80), call_tcp(NEIGHBOUR, 80)
    assert await replies(published, member, outside) == [NEIGHBOUR, "172.17.0.3", HOST]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_our_own_rules_still_hold_behind_the_other_firewall(lab: Lab, program: str) -> None:
    _drop_by_default(lab, program)
    await _serve(lab)
    await lab.network.ensure_bridge(bridge(18))
    await lab.network.create_sandbox(sandbox(2, 18))
    with lab.at_neighbour():
        lab.run("ip", "route", "add", "172.17.0.0/16", "via", HOST)
        calls = [call_tcp("172.17.0.2", 80)]
    with lab.inside("box18-2"):
        calls.append(call_tcp("172.17.0.2", 80))
    assert await asyncio.gather(*(unreachable(call) for call in calls)) == [True, True]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_our_rules_there_are_written_once_and_removed_at_the_end(
    lab: Lab, program: str
) -> None:
    _drop_by_default(lab, program)
    lab.run(program, "-A", "FORWARD", "-i", "their0", "-j", "ACCEPT")
    before = lab.run(program, "-S", "FORWARD")
    await lab.network.ensure_bridge(bridge(17))
    await lab.network.ensure_bridge(bridge(18))
    during = lab.run(program, "-S", "FORWARD").replace('"', "").splitlines()
    end = "-m comment --comment skept -j ACCEPT"
    assert sorted(during) == sorted(
        [*before.splitlines(), f"-A FORWARD -i sbt-+ {end}", f"-A FORWARD -o sbt-+ {end}"]
    )
    await lab.network.clear()
    assert lab.run(program, "-S", "FORWARD") == before


async def test_a_bridge_with_a_name_of_its_own_is_let_through_too(lab: Lab) -> None:
    _drop_by_default(lab, "iptables-nft")
    await lab.network.ensure_bridge(bridge(link="custom0"))
    assert "-i custom0" in lab.run("iptables-nft", "-S", "FORWARD")
    await lab.network.remove_bridge("net17")
    assert "custom0" not in lab.run("iptables-nft", "-S", "FORWARD")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_firewall_that_starts_later_is_opened_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """At once, but for one of the old kind, of which nobody is told."""
    if program == "iptables-legacy":
        monkeypatch.setattr("skep.network.kernel._LOOK_S", 0.5)
    with two_machines(tmp_path) as (host, neighbour):
        lab = Lab(tmp_path, host, neighbour, open_network(tmp_path))
        await lab.network.open()
        try:
            await lab.network.ensure_bridge(bridge())
            await asyncio.sleep(0.1)
            for _ in range(2):  # it starts, and is reloaded
                _drop_by_default(lab, program)
                async with asyncio.timeout(5):
                    while "skept" not in lab.run(program, "-S", "FORWARD"):
                        await asyncio.sleep(0.01)
                lab.run(program, "-F", "FORWARD")
        finally:
            await lab.network.clear()
            await lab.network.close()


async def test_no_table_of_another_program_is_made(lab: Lab) -> None:
    await _serve(lab)
    assert {line.split()[-1] for line in lab.run("nft", "list", "tables").splitlines()} == {"skept"}
