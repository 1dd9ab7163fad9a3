"""H4: when the disk was full, a container that had ended was "running" for ever, with its ports and
its sandbox, and its task with it: the end was to be written down before anything was let go. Its
last part is of M11: a restart by policy that failed in a way nobody foresaw was never tried again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from skep.engine.containers import preparation
from skep.kit.errors import Internal
from skep.model.container import PortBinding, RestartPolicy
from skep.testing.daemon import daemon_host, until
from skep.testing.disks import SmallDisk, small_disk
from skep.testing.engine_host import EngineHost, engine_host


class Full(NamedTuple):
    host: EngineHost
    disk: SmallDisk


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Full]:
    """An engine whose data root is on a small disk, which is not full yet."""
    with small_disk(tmp_path / "disk") as disk:
        async with engine_host(tmp_path, data_root=tmp_path / "disk/data") as host:
            yield Full(host, disk)
        assert host.leftovers() == []


async def _kill(host: EngineHost, id_: str) -> None:
    """Not by the engine."""
    os.kill((await host.engine.containers.inspect(id_)).state.pid, 9)


def _record(host: EngineHost, id_: str) -> dict[str, object]:
    path = host.settings.data_root / "containers" / id_ / "record.json"
    return dict(json.loads(path.read_text()))


async def test_it_is_seen_told_and_let_go_at_once(full: Full) -> None:
    host, disk = full
    published = {"port_bindings": {"80/tcp": [PortBinding(host_port="8080")]}}
    ids = [await host.run(host=published), await host.run()]
    disk.fill()
    for id_ in ids:
        await _kill(host, id_)
        ended = await asyncio.wait_for(host.engine.containers.wait(id_), 10)
        assert ended.status_code == 137
        assert await host.state(id_) == "exited"
    places = (host.settings.exec_root / name for name in ("netns", "bundles", "containers"))
    assert [path for place in places for path in place.iterdir()] == []
    disk.free()
    await host.run(host=published)  # the port is free


async def test_the_end_is_written_when_there_is_room_again(full: Full) -> None:
    host, disk = full
    id_ = await host.run()
    disk.fill()
    await _kill(host, id_)
    await asyncio.wait_for(host.engine.containers.wait(id_), 10)
    assert _record(host, id_)["phase"] == "started"
    disk.free()
    async with asyncio.timeout(10):
        while _record(host, id_)["phase"] != "exited":
            await asyncio.sleep(0.05)
    await host.restart()
    assert (await host.engine.containers.inspect(id_)).state.exit_code == 137


async def test_people_can_stop_kill_and_remove(full: Full) -> None:
    host, disk = full
    first, second = await host.run(), await host.run()
    disk.fill()
    await host.engine.containers.stop(first, timeout_s=0)
    await host.engine.containers.kill(second)
    for id_ in (first, second):
        await host.engine.containers.remove(id_)
    disk.free()


async def test_a_start_says_that_the_disk_is_full_and_leaves_nothing(full: Full) -> None:
    host, disk = full
    id_ = await host.create()
    disk.fill()
    with pytest.raises(Internal, match="No space left on device"):
        await host.engine.containers.start(id_)
    with pytest.raises(Internal, match="No space left on device"):
        await host.create()
    assert await host.state(id_) == "created"
    assert len(list((host.settings.data_root / "containers").iterdir())) == 1
    disk.free()
    await host.engine.containers.start(id_)
    assert await host.state(id_) == "running"


async def test_a_restart_that_fails_unforeseen_is_tried_again(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _ = full
    policy = RestartPolicy(name="on-failure", maximum_retry_count=2)
    id_ = await host.run("sh", "-c", "sleep 0.3; exit 3", host={"restart_policy": policy})

    def fail(*_: object) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(preparation, "resolve_user", fail)
    await asyncio.wait_for(host.engine.containers.wait(id_), 10)
    seen = await host.engine.containers.inspect(id_)
    assert (seen.state.status, seen.restart_count) == ("exited", 2)
    assert seen.state.error == "nobody foresaw this"


def test_a_task_that_died_on_a_full_disk_is_replaced_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "host/data", 96) as disk, daemon_host(tmp_path / "host") as host:
        host.load_image("box:1")
        host.ok("swarm", "init")
        host.ok("service", "create", "-q", "-d", "--name", "two", "--replicas", "2",
                "--restart-delay", "100ms", "--stop-signal", "KILL", "box:1",
                "sleep", "600")  # fmt: skip
        host.until_running("two", 2)
        before = {task["ID"] for task in host.running("two")}
        victim = host.running("two")[0]["Status"]["ContainerStatus"]["PID"]
        disk.fill()
        os.kill(victim, 9)
        until(lambda: len(host.api("GET", "/containers/json").body) == 1)
        disk.free()
        until(lambda: len({task["ID"] for task in host.running("two")} - before) == 1)
        host.until_running("two", 2)
        host.ok("service", "rm", "two")
        host.until_clean()
