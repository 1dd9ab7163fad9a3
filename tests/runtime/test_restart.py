"""skep is killed at any moment: containers run on, nothing is forgotten, nothing is left over."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from skep.runtime import cgroups
from skep.runtime.bundle import Bundle
from skep.runtime.cgroups import Cgroup
from skep.runtime.door import ExecSpec, Io
from skep.testing.container_host import ContainerHost


def place_of_runc(host: ContainerHost, bundle: Bundle) -> Path:
    return host.root / "runc" / bundle.id


def pid_in(path: Path) -> int:
    return int(path.read_text())


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
            await asyncio.sleep(0.005)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def nothing_is_left(host: ContainerHost, bundle: Bundle) -> None:
    assert not host.place(bundle).exists()
    assert not place_of_runc(host, bundle).exists()
    assert not host.cgroup(bundle).exists()
    assert (await host.runtime.find(bundle.id)).state == "absent"


async def test_a_running_container_outlives_skep(host: ContainerHost) -> None:
    bundle = await host.running(host.shell("read line; exit 5"), Io(stdin=True))
    pid = pid_in(host.place(bundle) / "pidfile")
    runtime = await host.restart()
    found = await runtime.find(bundle.id)
    assert (found.state, found.pid) == ("running", pid)
    stream = await runtime.attach(bundle.id)
    await stream.write(b"go\n")
    assert (await runtime.wait(bundle.id)).code == 5
    stream.close()


async def test_an_end_that_nobody_saw_is_told_after_the_restart(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    conmon = pid_in(host.place(bundle) / "conmon.pid")
    pid = pid_in(host.place(bundle) / "pidfile")
    runtime = await host.restart()
    os.kill(pid, signal.SIGKILL)
    await gone(conmon)
    found = await runtime.find(bundle.id)
    assert found.state == "exited"
    assert found.exit is not None
    assert (found.exit.code, found.exit.lost) == (137, False)
    assert await runtime.wait(bundle.id) == found.exit


async def test_a_created_container_can_be_started_after_the_restart(host: ContainerHost) -> None:
    bundle = host.shell("exit 4")
    await host.runtime.create(bundle, Io())
    assert (await host.found_after_restart(bundle)).state == "created"
    await host.runtime.start(bundle.id)
    assert (await host.runtime.wait(bundle.id)).code == 4


async def test_a_container_whose_conmon_was_killed_is_orphaned(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    conmon = pid_in(host.place(bundle) / "conmon.pid")
    os.kill(conmon, signal.SIGKILL)
    end = await host.runtime.wait(bundle.id)
    assert (end.code, end.lost) == (255, True)
    assert (await host.runtime.find(bundle.id)).state == "orphaned"
    found = await host.found_after_restart(bundle)
    assert found.state == "orphaned"
    await host.runtime.delete(bundle.id, force=True)
    await gone(found.pid)
    await nothing_is_left(host, bundle)


async def test_when_both_were_killed_the_exit_code_is_lost(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    os.kill(pid_in(host.place(bundle) / "conmon.pid"), signal.SIGKILL)
    pid = pid_in(host.place(bundle) / "pidfile")
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    found = await host.found_after_restart(bundle)
    assert found.exit is not None
    assert (found.state, found.exit.lost) == ("exited", True)
    await host.runtime.delete(bundle.id)
    await nothing_is_left(host, bundle)


async def test_pids_that_now_belong_to_others_are_not_touched(host: ContainerHost) -> None:
    """After pids were reused, the files name strangers: here, this test's own process."""
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    place = host.place(bundle)
    for name in ("conmon.pid", "pidfile"):  # conmon first: it would write down how the other ended
        os.kill(pid_in(place / name), signal.SIGKILL)
    await gone(pid_in(place / "pidfile"))
    for name in ("pidfile", "conmon.pid"):
        (place / name).write_text(str(os.getpid()))
    found = await host.found_after_restart(bundle)
    assert found.exit is not None
    assert found.exit.lost
    await host.runtime.repair(bundle.id)
    await nothing_is_left(host, bundle)


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.005, 0.01, 0.02, 0.03])
async def test_a_create_that_was_cut_short_leaves_nothing(
    host: ContainerHost, delay_s: float
) -> None:
    """Cancelled at any point, as by a task that is shut down while its container is made."""
    bundle = host.bundle("/bin/sleep", "1000")
    creating = asyncio.create_task(host.runtime.create(bundle, Io()))
    await asyncio.sleep(delay_s)
    if creating.cancel():
        with pytest.raises(asyncio.CancelledError):
            await creating
    else:  # it was done before this busy process woke up
        await host.runtime.delete(bundle.id, force=True)
    await nothing_is_left(host, bundle)


@pytest.mark.parametrize("missing", ["config.json", "pidfile"])
async def test_half_of_a_container_is_partial_until_it_is_repaired(
    host: ContainerHost, missing: str
) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    pid = pid_in(host.place(bundle) / "pidfile")
    (host.place(bundle) / missing).unlink()
    assert (await host.found_after_restart(bundle)).state == "partial"
    await host.runtime.repair(bundle.id)
    await gone(pid)
    await nothing_is_left(host, bundle)


async def test_one_whose_conmon_went_before_its_start_was_never_whole(host: ContainerHost) -> None:
    """As when skep is killed in the middle of a create: conmon has nobody to report to."""
    bundle = host.bundle("/bin/sleep", "1000")
    created = await host.runtime.create(bundle, Io())
    os.kill(pid_in(host.place(bundle) / "conmon.pid"), signal.SIGKILL)
    await gone(pid_in(host.place(bundle) / "conmon.pid"))
    assert (await host.found_after_restart(bundle)).state == "partial"
    await host.runtime.repair(bundle.id)
    await gone(created.pid)
    await nothing_is_left(host, bundle)


async def test_runcs_state_without_a_bundle_is_discovered(host: ContainerHost) -> None:
    stray = host.bundle("/bin/true")
    place_of_runc(host, stray).mkdir(parents=True)
    assert [found.state for found in await host.runtime.discover()] == ["partial"]
    await host.runtime.repair(stray.id)
    assert await host.runtime.discover() == []


async def test_removing_a_container_with_execs_and_cgroups_of_its_own(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    await host.runtime.exec(bundle.id, ExecSpec(exec_id="e", argv=("/bin/sleep", "1000")))
    for folder in host.cgroup(bundle).folders:
        if Path(folder).exists():
            (Path(folder) / "inner").mkdir()
    await host.runtime.delete(bundle.id, force=True)
    await nothing_is_left(host, bundle)


async def test_an_exec_that_fails_to_start_leaves_nothing(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    starting = asyncio.create_task(
        host.runtime.exec(bundle.id, ExecSpec(exec_id="e", argv=("/bin/cat",), attach=True))
    )
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert list((host.place(bundle) / "execs").iterdir()) == []


async def test_the_last_one_out_takes_the_cgroups_along(host: ContainerHost) -> None:
    """An instance without containers leaves no cgroup; with one it leaves it its own."""
    parent = Cgroup(cgroups.of_this_host(), host.cgroup_parent)
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    await host.runtime.close()
    assert parent.exists()
    runtime = await host.restart()
    await runtime.discover()
    await runtime.delete(bundle.id, force=True)
    await runtime.close()
    assert not parent.exists()


@pytest.mark.skipif(cgroups.of_this_host().unified is None, reason="needs a v2 tree")
async def test_skep_leaves_no_conmon_in_its_own_cgroup(host: ContainerHost) -> None:
    """systemd takes processes in a stopped unit's cgroup for a mistake, and says so at each."""
    bundle = await host.running(host.shell("read line; exit 5"), Io(stdin=True))
    exec_ = await host.runtime.exec(bundle.id, ExecSpec(exec_id="e", argv=("/bin/sleep", "1000")))
    places = (host.place(bundle), host.place(bundle) / "execs/e")
    conmons = [Path(f"/proc/{pid_in(place / 'conmon.pid')}/cgroup") for place in places]
    own = Path("/proc/self/cgroup").read_text()
    assert [conmon.read_text() for conmon in conmons] == [own, own]
    runtime = await host.restart()
    for conmon in conmons:
        assert f"0::{host.cgroup_parent}/conmon" in conmon.read_text().splitlines()
    assert Path(f"/proc/{exec_.pid}").exists()
    assert (await runtime.find(bundle.id)).state == "running"
    await runtime.delete(bundle.id, force=True)
    await runtime.close()
    assert not Cgroup(cgroups.of_this_host(), host.cgroup_parent).exists()
