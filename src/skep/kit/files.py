"""Files that a crash cannot leave half written, and trees that are too odd for shutil."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

_log = logging.getLogger(__name__)

_DEPTH = 256
"""Folders of one walk that are open at a time."""

DRAFTS = ".*.????????"
"""What `write_atomically` leaves in a folder when it is killed: their names, as a glob pattern."""


def close_folder(folder: Path) -> None:
    """Make a folder that only its owner enters; one that is there is closed to all others.

    What containers make inside (setuid programs, files that anybody may write) must not be within
    the reach of the host's users. Blocking.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path` so that readers, and a crash, see the old file or the new one.

    Blocking: it waits for the disk. A crash may leave a draft (`DRAFTS`) beside it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """The same without waiting for the disk: it outlives a crash of ours, not a power cut.

    For one writer at a time. When it raises, the old file is what it was.
    """
    draft = path.with_name(f".{path.name}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            _write_all(descriptor, content)
        finally:
            os.close(descriptor)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, content: bytes) -> None:
    """A disk with little room takes a part, and says only at the next write that it is full."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` outlive a power cut. Blocking."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_trees(paths: Iterable[Path]) -> None:
    """Delete folders with all that is in them, however deep; missing ones are fine. Blocking.

    By rm(1): shutil.rmtree recurses, and a tree from a hostile archive is deeper than Python's
    stack. Raises OSError when something stayed.
    """
    names = [str(path) for path in paths]
    if not names:
        return
    done = subprocess.run(
        ["rm", "-rf", "--one-file-system", "--", *names],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip()[:500])


def is_bare(folder: Path, made: Collection[str], drafts: Collection[str] = (DRAFTS,)) -> bool:
    """Whether there is nothing in a folder but these folders, empty, and drafts of files: whoever
    made it did not come to its end, and nobody used it."""
    found = [path for path in folder.iterdir() if not any(map(path.match, drafts))]
    return all(path.name in made and path.is_dir() and not any(path.iterdir()) for path in found)


def sweep_away(paths: Iterable[Path]) -> None:
    """`remove_trees` for what nobody needs any more: what stays is said, and holds up nothing."""
    try:
        remove_trees(paths)
    except OSError as error:
        _log.warning("cannot be deleted, trying again at the next start: %s", error)


def set_aside(path: Path, reason: object, consequence: str) -> None:
    """Give a file, or a folder, that is not understood another name: nobody reads it any more, and
    a person may. Blocking; raises OSError."""
    names = (f"{path.name}.unreadable{number or ''}" for number in count())
    aside = next(place for name in names if not (place := path.with_name(name)).exists())
    path.rename(aside)
    _log.error("%s cannot be read (%s): kept as %s, %s", path, reason, aside.name, consequence)


def reason_of(error: Exception) -> str:
    """Of a file that cannot be read, without its path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def disk_usage_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`. Blocking.

    Containers write there meanwhile: each step is from an open folder into one of its own, never
    by a path. What cannot be looked at counts 0, as what lies `_DEPTH` folders deep.
    """
    total = 0
    way: list[tuple[int, list[str]]] = []
    try:
        name, parent = str(folder), None
        while True:
            if len(way) < _DEPTH and (seen := _look_into(name, parent)) is not None:
                descriptor, folders, size = seen
                total += size
                way.append((descriptor, folders))
            while way and not way[-1][1]:
                os.close(way.pop()[0])
            if not way:
                return total
            parent, folders = way[-1]
            name = folders.pop()
    finally:
        for descriptor, _ in way:
            os.close(descriptor)


def _look_into(name: str, parent: int | None) -> tuple[int, list[str], int] | None:
    """An open folder, the names of those in it, and the bytes of its files; None: not ours to see,
    or gone."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    except OSError:
        return None
    folders, size = [], 0
    with suppress(OSError), os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
    return descriptor, folders, size
