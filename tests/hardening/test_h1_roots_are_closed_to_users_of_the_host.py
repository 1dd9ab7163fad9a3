"""H1: any user of the host became root by a setuid file that a container had made, and read its
volumes: both roots, and what lies in them, let everybody pass (CVE-2021-41091, CVE-2021-41103)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skep.testing.daemon import DaemonHost
from skep.testing.modes import readable_by_others

_NOBODY = 65534


def _as_nobody(folder: Path, *command: str) -> str:
    """What a command says whose user has no right but to start in `folder`."""
    done = subprocess.run(
        command, cwd=folder, user=_NOBODY, group=_NOBODY, extra_groups=[], check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def older(host: DaemonHost) -> DaemonHost:
    """The roots as skep left them once; a daemon has been started since."""
    host.stop()
    for root in (host.data_root, host.exec_root):
        for folder in (root, root / "containers", root / "volumes"):
            if folder.exists():
                folder.chmod(0o711)
    host.start()
    return host


def test_no_program_and_no_file_of_a_container_is_within_reach(older: DaemonHost) -> None:
    made = (
        "cp /bin/busybox /usr/s && chmod 4755 /usr/s && cp /usr/s /data/s && chmod 4755 /data/s"
        " && echo secret >/data/password && chmod 644 /data/password && echo made && sleep 600"
    )
    script = f"mkdir -p /usr; {made}"
    id_ = older.ok("run", "-d", "-v", "pg:/data", "web:1", "sh", "-c", script)
    while older.ok("logs", id_) != "made":
        pass
    rootfs = older.exec_root / "containers" / id_ / "rootfs"
    assert (rootfs / "usr/s").stat().st_mode & 0o4001  # root sees what was made
    denied = "Permission denied"
    program = f"containers/{id_}/rootfs/usr/s"
    assert denied in _as_nobody(Path("/"), "sh", "-c", f"{older.exec_root}/{program} true")
    assert denied in _as_nobody(older.exec_root, "sh", "-c", f"./{program} true")
    assert denied in _as_nobody(older.folder, "cat", "data/volumes/pg/_data/password")
    assert denied in _as_nobody(older.data_root, "cat", "volumes/pg/_data/password")
    assert denied in _as_nobody(older.data_root, "ls", f"containers/{id_}/diff/usr")
    assert readable_by_others(older.data_root) == []
    assert readable_by_others(older.exec_root) == []


def test_a_container_of_another_user_still_has_its_files(older: DaemonHost) -> None:
    """The way to them is closed on the host, not in the container."""
    script = "cat /etc/hosts >/dev/null && echo x >/dev/shm/x && echo y >/data/y && cat /data/y"
    run = ("run", "--rm", "-v", "open:/data")
    older.ok(*run, "web:1", "chmod", "1777", "/data")
    assert older.ok(*run, "-u", "1000:1000", "web:1", "sh", "-c", script) == "y"
    id_ = older.ok("run", "-d", "-u", "1000:1000", "--cap-drop", "ALL", "web:1", "sleep", "600")
    assert older.ok("exec", id_, "id", "-u") == "1000"
