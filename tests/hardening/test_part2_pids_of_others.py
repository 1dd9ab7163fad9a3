"""Part 2: pids are given again. What is signalled or joined by a number that was written down must
be looked at while it is held: it may be a process of somebody else by now."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from skep.kit.errors import Conflict
from skep.runtime.processes import send
from skep.testing.container_host import container_host, make_busybox_rootfs
from skep.testing.engine_host import EngineHost, engine_host


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


async def test_a_signal_does_not_reach_who_has_the_pid_now(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    make_busybox_rootfs(tmp_path)
    async with container_host(tmp_path) as host:
        bundle = await host.running(host.bundle("sleep", "600"))
        (host.place(bundle) / "pidfile").write_text(str(stranger.pid))
        assert (await host.found_after_restart(bundle)).pid == stranger.pid
        await host.runtime.signal(bundle.id, signal.SIGKILL)
        await host.runtime.delete(bundle.id, force=True)
        assert stranger.poll() is None


async def test_a_pid_namespace_is_not_that_of_who_has_the_pid_now(
    host: EngineHost, stranger: subprocess.Popen[bytes]
) -> None:
    partner = await host.run()
    pidfile = host.settings.exec_root / "bundles" / partner / "pidfile"
    pid = pidfile.read_text()
    pidfile.write_text(str(stranger.pid))
    await host.restart()
    with pytest.raises(Conflict, match="cannot join PID namespace of a non running container"):
        await host.run(host={"pid_mode": f"container:{partner}"})
    pidfile.write_text(pid)
    await host.restart()


async def test_a_pid_namespace_is_shared_with_a_container_that_runs(host: EngineHost) -> None:
    partner = await host.run("sleep", "4321")
    seen = await host.output("ps -o args", host={"pid_mode": f"container:{partner}"})
    assert "sleep 4321" in seen
    held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [name for name in held if name.startswith("pid:")]


def test_who_ends_while_he_is_looked_at_is_not_signalled() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:

        def ends(_: int) -> bool:
            process.kill()
            process.wait()
            return True

        send(process.pid, signal.SIGTERM, ends)
        assert process.returncode == -signal.SIGKILL
    send(process.pid, signal.SIGTERM, ends)
