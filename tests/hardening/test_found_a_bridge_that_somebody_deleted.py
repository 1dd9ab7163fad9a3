"""Found by the fuzz of the files on disk: a container whose network's bridge had been deleted (by a
person, or for the network's record was lost) could not be cleared away, and at the next start its
link ended the daemon: "close bridge port …: Operation not supported"."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.model.network import NetworkCreate
from skep.network.links import delete_link
from skep.network.netlink import Netlink
from skep.testing.engine_host import EngineHost, engine_host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


async def _without_a_bridge(host: EngineHost) -> str:
    """A container whose bridge is deleted under it."""
    before = _links("sb")
    await host.engine.networks.create(NetworkCreate(name="doomed"))
    (bridge,) = _links("sb") - before
    id_ = await host.run(host={"network_mode": "doomed"})
    with contextlib.closing(Netlink()) as netlink:
        netlink.apply(delete_link(bridge))
    return id_


def _links(prefix: str) -> set[str]:
    """Of the namespace that the test is in."""
    return {name for _, name in socket.if_nameindex() if name.startswith(prefix)}


async def test_its_container_can_be_removed(host: EngineHost) -> None:
    id_ = await _without_a_bridge(host)
    await host.engine.containers.remove(id_, force=True)
    assert _links("sv") == set()


async def test_the_next_start_clears_it_away(host: EngineHost) -> None:
    id_ = await _without_a_bridge(host)
    await host.engine.stop()
    (host.settings.data_root / "containers" / id_).rename(host.settings.data_root / "away")
    await host.start()
    assert _links("sv") == set()
