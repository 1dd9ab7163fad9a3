"""A tree copied into a folder that others, who are not to be trusted, may write in meanwhile.

The result is that of `cp -a`. But nothing is found by its path there: every name is taken in an
open folder and no link is followed, so whoever swaps a folder for a link leads us nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Self

_MAX_DEPTH = 1000
"""Of folders in each other: two descriptors each. cp(1) gives up at about the double."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: int, target: int) -> None:
    """Copy all that is in the folder `source` into the folder `target`, both open, and what is said
    of the folder itself: owner, mode, times, extended attributes. What has a name in `target`
    already stays. Nobody else may write in `source`. Blocking; raises OSError.
    """
    with _Copy(source, target) as copy:
        while copy.goes_on():
            pass
    _describe(target, source, os.fstat(source))


class _Level(NamedTuple):
    """A folder that is being copied; `name` is its own, `made` what is to be said of the copy when
    it is whole (None: somebody else made it)."""

    source: int
    target: int
    name: str
    names: list[str]
    made: os.stat_result | None


class _Copy:
    """One copy under way: the folders from the root down to where it is."""

    def __init__(self, source: int, target: int) -> None:
        self._levels = [_Level(source, target, "", os.listdir(source), None)]
        self._linked: dict[tuple[int, int], list[str]] = {}
        """A file with several names, by device and inode -> the way to its first name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for level in self._levels[1:]:
            os.close(level.source)
            os.close(level.target)

    def goes_on(self) -> bool:
        """Copy one more entry; False when there is none left."""
        level = self._levels[-1]
        if level.names:
            with contextlib.suppress(FileExistsError):
                self._entry(level, level.names.pop())
            return True
        if len(self._levels) == 1:
            return False
        if level.made is not None:
            _describe(level.target, level.source, level.made)
        os.close(level.source)
        os.close(level.target)
        self._levels.pop()
        return True

    def _entry(self, level: _Level, name: str) -> None:
        """Raises FileExistsError when somebody else has taken the name."""
        status = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._enter(level, name, status)
        elif self._is_linked(level, name, status):
            return
        elif kind == stat.S_IFREG:
            _file(level, name, status)
        elif kind == stat.S_IFLNK:
            _symlink(level, name, status)
        else:
            _special(level, name, status)

    def _enter(self, level: _Level, name: str, status: os.stat_result) -> None:
        if len(self._levels) > _MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
        made: os.stat_result | None = status
        try:
            os.mkdir(name, 0o700, dir_fd=level.target)
        except FileExistsError:
            made = None
        source = _open(name, _FOLDER, level.source)
        try:
            target = _open(name, _FOLDER, level.target)
        except BaseException:
            os.close(source)
            raise
        self._levels.append(_Level(source, target, name, os.listdir(source), made))  # noqa: PTH208

    def _is_linked(self, level: _Level, name: str, status: os.stat_result) -> bool:
        """Whether it is now one more name of a file that was copied before."""
        if status.st_nlink < 2:
            return False
        way = [each.name for each in self._levels[1:]] + [name]
        first = self._linked.setdefault((status.st_dev, status.st_ino), way)
        if first is way:
            return False
        with contextlib.ExitStack() as opened:
            folder = self._levels[0].target
            try:
                for each in first[:-1]:
                    folder = opened.enter_context(_opened(each, _FOLDER, folder))
                os.link(first[-1], name, src_dir_fd=folder, dst_dir_fd=level.target,
                        follow_symlinks=False)  # fmt: skip
            except FileNotFoundError:
                return False  # somebody took it away
        return True


def _file(level: _Level, name: str, status: os.stat_result) -> None:
    with (
        _opened(name, _OLD_FILE, level.source) as file,
        _opened(name, _NEW_FILE, level.target) as copy,
    ):
        _copy_bytes(file, copy, status.st_size)
        _describe(copy, file, status)


def _copy_bytes(source: int, target: int, size: int) -> None:
    """Holes stay holes."""
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(source, position, os.SEEK_HOLE)
        os.lseek(target, position, os.SEEK_SET)
        while position < end:
            position += os.sendfile(target, source, position, end - position) or end


def _symlink(level: _Level, name: str, status: os.stat_result) -> None:
    target = level.target
    os.symlink(os.readlink(name, dir_fd=level.source), name, dir_fd=target)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _special(level: _Level, name: str, status: os.stat_result) -> None:
    """A fifo, a socket, a device node: made, never opened."""
    os.mknod(name, status.st_mode, status.st_rdev, dir_fd=level.target)
    with _opened(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, level.target) as made:
        if stat.S_IFMT(os.fstat(made).st_mode) == stat.S_IFMT(status.st_mode):
            _set(f"/proc/self/fd/{made}", status)


def _describe(target: int, source: int, status: os.stat_result) -> None:
    """Owner, mode, extended attributes and times; attributes that the disk does not take are left
    out, as by cp."""
    _set(target, status)
    with contextlib.suppress(OSError):
        for attribute in os.listxattr(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, attribute, os.getxattr(source, attribute))


def _set(target: int | str, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101  (mostly a descriptor)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _open(name: str, flags: int, folder: int) -> int:
    """Raises FileExistsError when something else than a folder is where a folder must be."""
    try:
        return os.open(name, flags, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and flags & os.O_DIRECTORY:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        raise


@contextlib.contextmanager
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    descriptor = _open(name, flags, folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
