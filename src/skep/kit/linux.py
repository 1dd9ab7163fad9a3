"""Linux calls that Python 3.11 lacks: mounts, and opening a path that cannot leave its folder.

All of them block; errors are OSError with the kernel's reason and the path.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p,
)  # fmt: skip
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 32, 4096, 16384
MS_PRIVATE, MS_SHARED, MS_SLAVE = 1 << 18, 1 << 20, 1 << 19
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

_FLAGS = {
    "ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC, "sync": 16,
    "dirsync": 128, "mand": 64, "noatime": 1024, "nodiratime": 2048, "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC, "relatime": 1 << 21, "strictatime": 1 << 24, "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC, "shared": MS_SHARED, "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE, "rslave": MS_SLAVE | MS_REC,
}  # fmt: skip
_SILENT = frozenset({"rw", "defaults", "exec", "suid", "dev", "async"})

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10


def mount(source: str, target: Path, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2). `data` is the file system's own options, joined by commas."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(data) or None
    )
    if result < 0:
        _raise(target)


def split_options(options: Iterable[str]) -> tuple[int, str]:
    """Words of `mount -o`: flags of mount(2), and the rest, which is the file system's."""
    flags, rest = 0, []
    for word in options:
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word and word not in _SILENT:
            rest.append(word)
    return flags, ",".join(rest)


def unmount(target: Path) -> None:
    """Take a mount away from all eyes now, and from the kernel when its last user is gone.

    One that is not there is fine.
    """
    if _libc.umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW) < 0 and (
        ctypes.get_errno() not in (22, 2)  # EINVAL: no mount point; ENOENT
    ):
        _raise(target)


def mounts_below(folder: Path) -> list[Path]:
    """Mount points in `folder`, deepest first."""
    prefix = f"{folder}/"
    found = [point for point in _mount_points() if point.startswith(prefix)]
    return [Path(point) for point in sorted(found, key=len, reverse=True)]


def is_mount_point(path: Path) -> bool:
    return str(path) in _mount_points()


class Mounted(NamedTuple):
    """A line of the mount table: `source` is the word that it was mounted with."""

    point: str
    kind: str
    source: str


def mounted_at(folder: Path) -> Mounted:
    """The mount that a folder lies on."""
    path = f"{folder.resolve()}/"
    above = [each for each in _mounts() if path.startswith(f"{each.point.rstrip('/')}/")]
    longest = max(len(each.point) for each in above)
    return [each for each in above if len(each.point) == longest][-1]


def _mount_points() -> Iterator[str]:
    return (each.point for each in _mounts())


def _mounts() -> Iterator[Mounted]:
    """The mount table, in the order of mounting."""
    with open("/proc/self/mountinfo", "rb") as table:  # noqa: PTH123
        for line in table:
            point = line.split(b" ", 5)[4].decode("unicode_escape").encode("latin-1")
            kind, source, _ = line.rpartition(b" - ")[2].split(b" ", 2)
            yield Mounted(*map(os.fsdecode, (point, kind, source)))


def sync_disk(folder: Path) -> None:
    """Make all that was written to the file system of `folder` outlive a power cut: syncfs(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) < 0:
            _raise(folder)
    finally:
        os.close(descriptor)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(root: Path, path: str, flags: int = os.O_RDONLY) -> int:
    """Open `path` as if `root` were "/": neither "..", nor links, nor /proc's lead out of it."""
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        descriptor = _libc.syscall(
            _OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
        )
        if descriptor < 0:
            _raise(root / path.lstrip("/"))
        return int(descriptor)
    finally:
        os.close(folder)


def open_file_in_root(root: Path, path: str) -> int:
    """The same for reading, when it is a plain file; raises OSError for all else, untouched.

    To open a device is to use it: a watchdog starts to count.
    """
    found = open_in_root(root, path, os.O_PATH)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(root / path.lstrip("/")))
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def _raise(path: Path) -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), str(path))
