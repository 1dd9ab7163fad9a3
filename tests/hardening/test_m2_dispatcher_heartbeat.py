"""M2: a dispatcher heartbeat of hours was hung up on, one of nanoseconds made every node down.

From 500 ms to 1 h is taken; what an older skep stored beyond that counts as the bound.
"""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.manager.dispatcher.liveness import heartbeat_s
from skep.model.cluster import ClusterSpec, DispatcherConfig
from skep.store.change import Update
from skep.testing.control_plane import ControlPlane

S = 10**9
HOUR = 3600 * S


def settings(period_ns: int) -> ClusterSpec:
    return ClusterSpec(dispatcher=DispatcherConfig(heartbeat_period=period_ns))


@pytest.mark.parametrize("period_ns", [1, 5, S // 2 - 1, HOUR + 1, 2 * HOUR, 2**63 - 1])
async def test_a_period_that_makes_no_sense_is_refused(plane: ControlPlane, period_ns: int) -> None:
    with pytest.raises(InvalidArgument, match="must be from 500ms to 1h"):
        await plane.update_cluster(settings(period_ns))


@pytest.mark.parametrize("period_ns", [0, S // 2, 5 * S, HOUR])
async def test_what_makes_sense_is_taken(plane: ControlPlane, period_ns: int) -> None:
    await plane.update_cluster(settings(period_ns))
    assert plane.manager.control.cluster.get().spec.dispatcher.heartbeat_period == period_ns


def test_what_is_stored_counts_as_the_bound() -> None:
    assert heartbeat_s(3, 5) == 0.5
    assert heartbeat_s(3, 10**19) == 3600.0


@pytest.mark.parametrize(("period_ns", "told_s"), [(5, 0.5), (2 * HOUR, 3600.0), (10**18, 3600.0)])
async def test_nodes_stay_whatever_an_older_skep_stored(
    plane: ControlPlane, period_ns: int, told_s: float
) -> None:
    node = await plane.join("n1")
    cluster = plane.manager.control.cluster.get()
    spec = replace(cluster.spec, dispatcher=DispatcherConfig(heartbeat_period=period_ns))
    await plane.manager.store.commit([Update(replace(cluster, spec=spec))])
    session = node.agent._session
    assert session is not None
    await plane.until(lambda: session._heartbeat_s == told_s)
    for _ in range(20):
        await asyncio.sleep(0.1)
        assert plane.state_of(node) == "ready"
    assert node.agent._session is session
