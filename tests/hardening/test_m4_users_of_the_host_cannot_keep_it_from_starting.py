"""M4: any user of the host could hold a lock that the daemon needs, and a mount point whose name is
no text (an ordinary user can make one with fusermount) ended its start. So did a process of a
container whose name is none."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skep.runtime.cgroups import Hierarchies, parse_mountinfo
from skep.runtime.processes import child_of, pids_of
from skep.testing.daemon import DaemonHost
from skep.testing.engine_host import engine_host

_NOBODY = 65534


def test_nobody_else_can_hold_its_locks(host: DaemonHost) -> None:
    """In an installation of an older skep either, which left folders and locks open."""
    host.stop()
    for root in (host.data_root, host.exec_root):
        root.chmod(0o711)
        (root / "lock").chmod(0o644)
    host.start()
    for root in (host.data_root, host.exec_root):
        assert (root / "lock").stat().st_mode & 0o777 == 0o600
        held = subprocess.run(
            ["flock", "--shared", "--nonblock", "lock", "true"], cwd=root, user=_NOBODY,
            group=_NOBODY, extra_groups=[], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Permission denied" in held.stderr


@pytest.mark.parametrize("name", [b"no text \xff\xfe", b"odd line\x0bends\x1c \xe2\x80\xa8"])
def test_a_mount_point_may_have_any_name(
    host: DaemonHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    """In a mount namespace of the daemon's own: others on this machine are not to see it."""
    host.stop()
    odd = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  (no text)
    os.mkdir(odd)  # noqa: PTH102
    inner = f'mount -t tmpfs skep-test "$0" && exec {shlex.quote(sys.executable)} "$@"'
    outer = f"exec unshare --mount --propagation private sh -c {shlex.quote(inner)}"
    wrapped = tmp_path / "python"
    wrapped.write_bytes(f"#!/bin/sh\n{outer} ".encode() + b"'" + odd + b'\' "$@"\n')
    wrapped.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(wrapped))
        host.start()
    host.stop()
    host.start()


def test_hierarchies_are_found_among_odd_mount_points() -> None:
    odd = os.fsdecode(b"1 2 0:3 / /home/\xff\x0b\x1c\xe2\x80\xa8\x85 rw - fuse.x x rw\n")
    text = f"{odd}3 2 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n{odd}"
    assert parse_mountinfo(text) == Hierarchies(unified="/sys/fs/cgroup")


async def test_a_containers_process_may_have_any_name(tmp_path: Path) -> None:
    script = r"""f=/$(printf '\377)\013 x'); printf '#!/bin/sh\necho runs; sleep 600\n' >"$f"
    chmod +x "$f"; exec "$f" """
    async with engine_host(tmp_path) as host:
        id_ = await host.shell(script)
        await host.until_log(id_, "runs\n")
        await host.restart()
        assert await host.state(id_) == "running"


def test_who_looks_at_every_process_meets_odd_names_too() -> None:
    """As who ends an exec that was given up does, and looks for children of its runc."""
    with subprocess.Popen(
        ["sh", "-c", r"printf '\377) Z 1' >/proc/$$/comm; echo named; read word"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as odd:  # fmt: skip
        assert odd.stdout is not None
        assert odd.stdout.readline() == b"named\n"
        assert odd.pid in pids_of(child_of(lambda pid: pid == os.getpid()))
        odd.kill()
