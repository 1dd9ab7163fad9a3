"""Network namespaces: make one at a path, do something inside one, let one go.

A thread is in a namespace; these functions move the calling thread and bring it home again before
they return. Making one belongs into a worker thread (the kernel needs up to a millisecond);
`inside` is quick enough for the event loop, as long as nothing in it awaits.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skep.kit.errors import Internal

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_SELF = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def _call(doing: str, function: str, *args: object, tolerated: tuple[int, ...] = ()) -> None:
    """One system call; raises Internal with the kernel's words."""
    if getattr(_libc, function)(*args) < 0:
        code = ctypes.get_errno()
        if code not in tolerated:
            raise Internal(f"{doing}: {os.strerror(code)}")


def open_own() -> int:
    """A descriptor of the namespace that the calling thread is in."""
    return os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)


def open_at(path: Path) -> int:
    """A descriptor of the namespace bound at `path`; raises FileNotFoundError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def enter(fd: int) -> None:
    """Move the calling thread into a namespace, to stay."""
    _call("enter network namespace", "setns", fd, _CLONE_NEWNET)


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """Be in a namespace for a while; never `await` in it."""
    home = open_own()
    try:
        enter(fd)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def prepare_directory(directory: Path) -> None:
    """Make the directory for namespaces a shared mount.

    Other programs hold copies of the mount table; only a shared mount is unmounted there too, and
    a namespace lives as long as it is mounted anywhere.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if not _is_mount(directory):
        _call(f"mount {directory}", "mount", os.fsencode(directory), os.fsencode(directory), None,
              _MS_BIND | _MS_REC, None)  # fmt: skip
    _call(f"make {directory} shared", "mount", None, os.fsencode(directory), None,
          _MS_REC | _MS_SHARED, None)  # fmt: skip


def _is_mount(directory: Path) -> bool:
    """Whether something is mounted there (a bind mount of itself has no other mark)."""
    lines = Path("/proc/thread-self/mountinfo").read_bytes().rstrip(b"\n").split(b"\n")
    escaped = os.fsencode(directory.resolve()).replace(b" ", b"\\040")
    return escaped in {line.split(b" ")[4] for line in lines}


def make(path: Path, home: int) -> None:
    """Bind a new namespace at `path`; the thread is left inside it: call `enter(home)` after."""
    path.touch(mode=0o600)
    _call("create network namespace", "unshare", _CLONE_NEWNET)
    try:
        _call(f"bind network namespace at {path}", "mount", os.fsencode(_SELF), os.fsencode(path),
              None, _MS_BIND, None)  # fmt: skip
    except Internal:
        enter(home)
        path.unlink(missing_ok=True)
        raise


def is_bound(path: Path) -> bool:
    """Whether a namespace is bound at `path` (a crash can leave the empty file below)."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def release(path: Path) -> None:
    """Unbind a namespace; the kernel frees it when no process is left in it."""
    _call(f"unmount {path}", "umount2", os.fsencode(path), _MNT_DETACH,
          tolerated=(errno.EINVAL, errno.ENOENT))  # fmt: skip
    path.unlink(missing_ok=True)


def remove_directory(directory: Path) -> None:
    """Undo `prepare_directory`, when no namespace is bound there any longer."""
    _call(f"unmount {directory}", "umount2", os.fsencode(directory), _MNT_DETACH,
          tolerated=(errno.EINVAL, errno.ENOENT))  # fmt: skip
    if directory.is_dir():
        directory.rmdir()
