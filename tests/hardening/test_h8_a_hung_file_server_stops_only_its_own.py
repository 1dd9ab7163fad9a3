"""H8: a call on a path of a user may hang in the kernel for ever. Six of them took all the threads
that the engine had: creating, killing, logs and exec of every other container stood still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.errors import SkepError
from skep.model.container import ExecCreate, ExecStart
from skep.model.volume import VolumeCreate
from skep.testing.control_plane import ControlPlane
from skep.testing.engine_host import EngineHost, engine_host
from skep.testing.silent_mount import silent_mount

SOURCES = 8
IN_TIME_S = 8.0


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


async def hang(host: EngineHost, silent: Path) -> list[asyncio.Task[str]]:
    """Eight creations with bind sources on the silent file system, each waiting for it."""
    made = [
        asyncio.create_task(host.create(host={"binds": [f"{silent}/{number}:/data"]}))
        for number in range(SOURCES)
    ]
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in made)
    return made


async def test_other_containers_are_made_killed_read_and_entered(
    tmp_path: Path, host: EngineHost
) -> None:
    containers = host.engine.containers
    before = await host.shell("echo before; exec sleep 600")
    with silent_mount(tmp_path / "silent") as silent:
        hanging = await hang(host, silent)
        async with asyncio.timeout(IN_TIME_S):
            after = await host.run()
            assert await host.log(before) == "before\n"
            exec_id = await containers.exec_create(before, ExecCreate(cmd=["true"]))
            await containers.exec_start(exec_id, ExecStart(detach=True))
            assert await host.engine.volumes.disk_usage() == []
            await containers.list(all_containers=True, size=True)
            for container_id in (before, after):
                await containers.kill(container_id)
                assert await host.state(container_id) == "exited"
                await containers.remove(container_id)
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_who_asks_for_what_hangs_is_told_so(tmp_path: Path) -> None:
    async with engine_host(tmp_path, answer_s=0.5) as host:
        with silent_mount(tmp_path / "silent") as silent:
            async with asyncio.timeout(IN_TIME_S):
                answers = await asyncio.gather(*await hang(host, silent), return_exceptions=True)
            for number, error in enumerate(answers):
                assert isinstance(error, SkepError)
                assert error.http_status == 503
                assert str(error).startswith(f"{silent}/{number} does not answer")


async def test_a_volume_that_hangs_holds_up_its_own_containers_only(tmp_path: Path) -> None:
    async with engine_host(tmp_path, answer_s=0.5) as host:
        with silent_mount(tmp_path / "silent") as silent:
            await use_a_silent_volume(host, silent)


async def use_a_silent_volume(host: EngineHost, silent: Path) -> None:
    engine = host.engine
    options = {"type": "none", "o": "bind", "device": str(silent)}
    await engine.volumes.create(VolumeCreate(name="far", driver_opts=options))
    container_id = await host.create(host={"binds": ["far:/data"]})
    starting = asyncio.create_task(engine.containers.start(container_id))
    try:
        async with asyncio.timeout(IN_TIME_S):
            await engine.containers.remove(await host.run(), force=True)
        with pytest.raises(SkepError, match="does not answer"):
            await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    await engine.containers.remove(container_id, force=True)
    await engine.volumes.remove("far")


async def test_a_node_whose_engine_does_not_answer_is_down_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.agent.engine_check.PATIENCE_S", 0.3)
    monkeypatch.setattr("skep.agent.engine_check.PERIOD_S", 0.05)
    plane = ControlPlane(tmp_path)
    await plane.start()
    try:
        node = await plane.join("worker")
        node.executor.awake.clear()
        await plane.until(lambda: plane.state_of(node) == "down")
        assert "engine of this node has not answered" in node.agent.problem
        node.executor.awake.set()
        await plane.until(lambda: plane.state_of(node) == "ready")
        await plane.until(node.agent.connected.is_set)
        assert node.agent.problem == ""
    finally:
        await plane.close()
