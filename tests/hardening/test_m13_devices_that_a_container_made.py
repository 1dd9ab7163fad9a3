"""M13: the daemon opened /etc/passwd of a container before it looked what that is. A container may
make a device there, and to open some devices is to act (a watchdog starts to count)."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

import pytest

from skep.engine.containers.rootfs import read_in_rootfs

_IN_OPEN = 0x20
_libc = ctypes.CDLL(None, use_errno=True)


class _Watch:
    """Whether anybody opened a file since."""

    def __init__(self, path: Path) -> None:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert _libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_OPEN) >= 0

    def was_opened(self) -> bool:
        try:
            return bool(os.read(self._descriptor, 4096))
        except BlockingIOError:
            return False
        finally:
            os.close(self._descriptor)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, kind: int) -> None:
    (tmp_path / "etc").mkdir()
    made = tmp_path / "etc/passwd"
    os.mknod(made, 0o666 | kind, os.makedev(1, 3) if kind == stat.S_IFCHR else os.makedev(7, 250))
    watch = _Watch(made)
    assert read_in_rootfs(tmp_path, "/etc/passwd") == ""
    assert not watch.was_opened()


def test_a_plain_file_is_read_through_links_that_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real").write_text("root:x:0:0\n")
    (tmp_path / "etc/passwd").symlink_to("/etc/real")
    watch = _Watch(tmp_path / "etc/real")
    assert read_in_rootfs(tmp_path, "/etc/passwd") == "root:x:0:0\n"
    assert watch.was_opened()
