"""Many agents that come back at once, each over TLS with a certificate of its own."""

from __future__ import annotations

from pathlib import Path

from skep.testing.control_plane import ControlPlane
from skep.testing.fleet import Fleet, enrol

AGENTS, REPLICAS = 300, 600
PATIENCE_S = 60.0
"""Four seconds are enough, where nothing else runs."""


async def test_all_agents_come_back_to_a_restarted_manager_and_none_is_condemned(
    plane: ControlPlane, tmp_path: Path
) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    await enrol(plane.manager.store, folder, AGENTS)
    fleet = Fleet(folder, plane.address, AGENTS)
    try:
        await plane.until(lambda: fleet.census.complete == AGENTS, PATIENCE_S)
        service = await plane.create_service(REPLICAS)
        await plane.until(lambda: len(plane.running(service)) == REPLICAS, PATIENCE_S)
        before = sorted(plane.running(service))
        lost = fleet.census.lost  # some, where the machine is busy
        await plane.restart_manager()
        await plane.until(lambda: fleet.census.lost >= lost + AGENTS, PATIENCE_S)
        await plane.until(lambda: fleet.census.complete == AGENTS, PATIENCE_S)
        await plane.until(lambda: fleet.census.tasks == REPLICAS, PATIENCE_S)
    finally:
        fleet.close()
    assert sorted(plane.running(service)) == before
