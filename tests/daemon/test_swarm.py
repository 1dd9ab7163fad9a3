"""What a member runs, with fake containers: its agent speaks to its own manager while that leads,
and dials as a worker's does while it does not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skep.agent.dial import dial
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.daemon.member import Member
from skep.daemon.swarm import Swarm
from skep.kit.errors import Unavailable
from skep.manager.founding import found
from skep.manager.manager import ANOTHER_LEADS, Manager
from skep.model.node import NodeDescription
from skep.model.system import SwarmInit
from skep.protocol.link import AgentLink
from skep.testing.control_plane import free_port
from skep.testing.executor import FakeExecutor

PATIENCE_S = 30.0


async def founder(folder: Path) -> Member:
    """The first member of a cluster whose files are in the folder."""
    address = f"127.0.0.1:{free_port()}"
    manager = Manager(folder)
    await manager.start()
    first = await found(manager.store, SwarmInit(), address, NodeDescription())
    await manager.close()
    Identity(folder, random.Random(1)).install(first.key, first.certificate, first.roots)
    return Member(
        node_id=first.node_id,
        cluster_id=first.cluster_id,
        role="manager",
        advertise_addr=address,
        listen_addr=address,
    )


@pytest.fixture
async def swarm(tmp_path: Path) -> AsyncIterator[Swarm]:
    swarm = Swarm(tmp_path, FakeExecutor())
    await swarm.start(await founder(tmp_path))
    await swarm.until_connected()
    yield swarm
    await swarm.stop()


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Roster]:
    """Each time that the agent dialled."""
    times: list[Roster] = []

    async def counted(identity: Identity, roster: Roster) -> AgentLink:
        times.append(roster)
        return await dial(identity, roster)

    monkeypatch.setattr("skep.daemon.swarm.dial", counted)
    return times


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_agent_of_a_manager_dials_only_while_that_does_not_lead(
    dialled: list[Roster], swarm: Swarm
) -> None:
    agent, manager = swarm.agent, swarm.manager
    assert agent is not None
    assert manager is not None
    assert dialled == []
    await manager.follow()
    await until(lambda: bool(dialled) and agent.problem == ANOTHER_LEADS)
    await manager.lead()
    await until(agent.connected.is_set)


async def test_a_member_starts_as_its_role_says_each_time(swarm: Swarm, tmp_path: Path) -> None:
    manager = swarm.manager
    assert manager is not None
    view = manager.store.view
    (node,) = view.nodes()
    await swarm.stop()
    assert swarm.agent is None
    assert swarm.manager is None
    worker = Member(
        node_id=node.id,
        cluster_id="c",
        role="worker",
        advertise_addr=node.status.addr,
        listen_addr=node.status.addr,
    )
    await swarm.start(worker)
    assert swarm.agent is not None
    assert swarm.manager is None


async def test_a_manager_whose_store_is_gone_does_not_start(tmp_path: Path) -> None:
    member = await founder(tmp_path)
    for path in tmp_path.glob("store.db*"):
        path.unlink()
    swarm = Swarm(tmp_path, FakeExecutor())
    with pytest.raises(Unavailable, match=r"its file swarm/store.db was lost"):
        await swarm.start(member)
    await swarm.stop()
