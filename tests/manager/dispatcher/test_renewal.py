"""Certificates that live for seconds, over real TLS: renewed within the session, or expired."""

from __future__ import annotations

import asyncio
import time

import pytest
from msgspec.structs import replace

from skep.agent.dial import dial
from skep.agent.identity import Expired
from skep.agent.roster import Roster
from skep.kit.clock import NS_PER_S
from skep.model.cluster import CAConfig
from skep.protocol.messages import Certificate
from skep.store.change import Update
from skep.testing.control_plane import ControlPlane, FakeNode

LIFE_S = 4.0


async def short_lived(plane: ControlPlane) -> None:
    """Certificates that are made from now on live for seconds."""
    config = CAConfig(node_cert_expiry=int(LIFE_S * NS_PER_S))
    cluster = plane.manager.control.cluster.get()
    await plane.manager.store.commit(
        [Update(replace(cluster, spec=replace(cluster.spec, ca_config=config)), "test")]
    )


def certificate_of(node: FakeNode) -> Certificate:
    found = node.identity._certificate
    assert found is not None
    return found


async def test_a_session_outlives_the_certificate_that_it_was_opened_with(
    plane: ControlPlane,
) -> None:
    await short_lived(plane)
    node = await plane.join("n1")
    service = await plane.create_service(2)
    await plane.until(lambda: len(plane.running(service)) == 2)
    session, first, tasks = node.agent._session, certificate_of(node), plane.running(service)
    await plane.until(lambda: certificate_of(node) is not first)
    age = (certificate_of(node).valid_from_s - first.valid_from_s) / LIFE_S
    assert 0.5 <= age <= 0.8 + 1 / LIFE_S
    await asyncio.sleep(max(0.0, first.valid_until_s + 0.5 - time.time()))
    assert node.agent._session is session
    assert plane.running(service) == tasks
    await node.restart()
    await plane.until(node.agent.connected.is_set)
    assert plane.running(service) == tasks


async def test_a_node_whose_certificate_expired_says_what_to_do(plane: ControlPlane) -> None:
    await short_lived(plane)
    node = await plane.enrol("late")
    await asyncio.sleep(max(0.0, certificate_of(node).valid_until_s + 0.1 - time.time()))
    with pytest.raises(Expired, match="leave the swarm and join again"):
        await dial(node.identity, Roster(node.folder / "none", [plane.address]))
    await node.start()
    await plane.until(lambda: node.agent.barred)
    assert node.agent.problem.startswith("Swarm certificates have expired.")
