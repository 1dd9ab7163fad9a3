"""Files that a crash cannot leave half written, and trees that are too odd for shutil."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_DEPTH = 256
"""Folders of one walk that are open at a time."""

DRAFTS = ".*.????????"
"""What `write_atomically` leaves in a folder when it is killed: their names, as a glob pattern."""


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
