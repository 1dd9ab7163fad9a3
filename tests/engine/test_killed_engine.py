"""kill -9 of the engine at any moment: what was answered holds, what was not leaves no trace."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skep.engine.containers.rootfs import remove_place
from skep.kit.linux import mount
from skep.model.container import ExecCreate, ExecStart, RestartPolicy
from skep.runtime.bundle import Bundle
from skep.runtime.conmon import ConmonRuntime
from skep.runtime.door import Io
from skep.testing.engine_host import EngineHost

EXPECTED = {"created": "created", "started": "running", "stopped": "exited"}
"""The last promise about a container -> its state, when nothing was begun after it."""


@pytest.mark.parametrize("seed", range(6))
async def test_killed_at_a_random_moment_it_keeps_its_word(host: EngineHost, seed: int) -> None:
    await host.engine.stop()
    dice = random.Random(seed)
    promises = await asyncio.to_thread(_killed_child, host, dice.uniform(0.05, 1.2), seed)
    engine = await host.start()
    rows = await engine.containers.list(all_containers=True)
    states = {row.names[0]: row.state for row in rows}
    for name, word in promises.items():
        if word in EXPECTED:
            assert (name, states.get(f"/{name}")) in _allowed(name, word)
        if word == "removed":
            assert f"/{name}" not in states
    for row in rows:
        await engine.containers.remove(row.id, force=True, volumes=True)
    assert host.leftovers() == []


def _allowed(name: str, word: str) -> set[tuple[str, str]]:
    """After "created" a start was under way: a start that nobody was told of may have happened,
    or have left an end (lost)."""
    allowed = {(name, EXPECTED[word])}
    if word == "created":
        allowed |= {(name, "running"), (name, "exited")}
    return allowed


def _killed_child(host: EngineHost, after_s: float, seed: int) -> dict[str, str]:
    """The last word about each container that a busy engine gave before it was killed."""
    settings = host.settings
    child = subprocess.Popen(
        [sys.executable, "-m", "skep.testing.engine_child", str(settings.data_root),
         str(settings.exec_root), settings.instance, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    try:
        child.wait(after_s)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
    output, _ = child.communicate()
    return {name: word for word, name in (line.split() for line in output.splitlines())}


async def test_a_running_container_is_found_again_with_its_log_and_exit_code(
    host: EngineHost,
) -> None:
    id_ = await host.shell("echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; exit 4")
    before = (await host.engine.containers.inspect(id_)).state
    engine = await host.restart()
    after = (await engine.containers.inspect(id_)).state
    assert (after.status, after.pid, after.started_at) == ("running", before.pid, before.started_at)
    touch = await engine.containers.exec_create(id_, ExecCreate(cmd=["touch", "/go"]))
    await engine.containers.exec_start(touch, ExecStart(detach=True))
    assert (await engine.containers.wait(id_)).status_code == 4
    assert await host.log(id_) == "one\ntwo\n"


async def test_an_end_that_nobody_saw_is_finished_at_the_next_start(host: EngineHost) -> None:
    id_ = await host.shell("sleep 0.2; exit 9")
    await host.engine.stop()
    await asyncio.sleep(0.5)
    engine = await host.start()
    state = (await engine.containers.inspect(id_)).state
    assert (state.status, state.exit_code) == ("exited", 9)
    await engine.containers.start(id_)


async def test_after_a_reboot_what_ran_is_exited_and_its_policy_starts_it_again(
    host: EngineHost,
) -> None:
    plain = await host.run()
    always = await host.run(host={"restart_policy": RestartPolicy(name="always")})
    stopped = await host.run(host={"restart_policy": RestartPolicy(name="unless-stopped")})
    await host.engine.containers.stop(stopped, timeout_s=0)
    await host.engine.stop()
    await _reboot(host)
    engine = await host.start()
    state = (await engine.containers.inspect(plain)).state
    assert (state.status, state.exit_code) == ("exited", 255)
    async with asyncio.timeout(10):
        while await host.state(always) != "running":
            await asyncio.sleep(0.02)
    assert await host.state(stopped) == "exited"


async def _reboot(host: EngineHost) -> None:
    """No process, no sandbox and no file of the exec root survives."""
    runtime = ConmonRuntime(
        host.settings.exec_root, cgroup_parent=f"/skep-{host.settings.instance}"
    )
    for found in await runtime.discover():
        await runtime.repair(found.id)
    await runtime.close()
    for place in (host.settings.exec_root / "containers").iterdir():
        remove_place(place)


async def test_a_folder_without_a_record_was_promised_to_nobody(host: EngineHost) -> None:
    folder = host.settings.data_root / "containers" / ("ab" * 32)
    (folder / "diff").mkdir(parents=True)
    await host.restart()
    assert not folder.exists()


async def test_a_start_that_was_cut_short_did_not_happen(host: EngineHost) -> None:
    """The root is mounted, the process not yet there: that is taken away."""
    id_ = await host.create()
    before = (await host.engine.containers.inspect(id_)).state
    rootfs = await _pretend_started(host, id_)
    mount("tmpfs", rootfs, "tmpfs")
    engine = await host.restart()
    assert not rootfs.exists()
    assert (await engine.containers.inspect(id_)).state == before
    await engine.containers.start(id_)
    assert await host.state(id_) == "running"


async def test_a_process_that_waits_for_its_start_is_taken_away(host: EngineHost) -> None:
    """runc made it, conmon holds it, nobody said start."""
    id_ = await host.create()
    await _pretend_started(host, id_)
    await _half_create(host, id_)
    await host.restart()
    assert await host.state(id_) == "created"


async def test_another_start_that_was_cut_short_is_an_end(host: EngineHost) -> None:
    """How it had ended before is no longer known."""
    id_ = await host.shell("exit 3")
    await host.engine.containers.wait(id_)
    await _pretend_started(host, id_)
    engine = await host.restart()
    state = (await engine.containers.inspect(id_)).state
    assert (state.status, state.exit_code) == ("exited", 255)


async def test_an_auto_removed_one_whose_start_was_cut_short_is_removed(host: EngineHost) -> None:
    id_ = await host.create(host={"auto_remove": True})
    await _pretend_started(host, id_)
    engine = await host.restart()
    assert await engine.containers.list(all_containers=True) == []


async def test_a_process_without_a_record_is_taken_away(host: EngineHost) -> None:
    stranger = "cd" * 32
    await _half_create(host, stranger)
    await host.restart()
    assert [path for path in host.leftovers() if stranger in path] == []


async def test_a_removal_cut_short_goes_on(host: EngineHost) -> None:
    """The folder went into the trash, its files not yet."""
    id_ = await host.create()
    folder = host.settings.data_root / "containers" / id_
    trash = host.settings.data_root / "trash" / id_
    await host.engine.stop()
    folder.rename(trash)
    engine = await host.start()
    assert not trash.exists()
    assert await engine.containers.list(all_containers=True) == []


async def test_an_auto_removed_one_that_ended_unseen_is_removed(host: EngineHost) -> None:
    await host.shell("sleep 0.2", host={"auto_remove": True})
    await host.engine.stop()
    await asyncio.sleep(0.4)
    engine = await host.start()
    assert await engine.containers.list(all_containers=True) == []


async def _pretend_started(host: EngineHost, id_: str) -> Path:
    """The folder for the run and the intent, as a start makes them first; its root folder."""
    rootfs = host.settings.exec_root / "containers" / id_ / "rootfs"
    rootfs.mkdir(parents=True)
    path = host.settings.data_root / "containers" / id_ / "record.json"
    record = json.loads(path.read_text())
    record |= {"phase": "started", "started_at": "2026-01-01T00:00:00Z"}
    path.write_text(json.dumps(record))
    return rootfs


async def _half_create(host: EngineHost, id_: str) -> None:
    runtime = ConmonRuntime(
        host.settings.exec_root, cgroup_parent=f"/skep-{host.settings.instance}"
    )
    layers = (host.settings.data_root / "images" / "l").iterdir()
    rootfs = next(layer.resolve() for layer in layers if (layer / "bin/sh").is_symlink())
    await runtime.create(Bundle(id=id_, rootfs=str(rootfs), argv=("/bin/sh",)), Io())
    await runtime.close()
