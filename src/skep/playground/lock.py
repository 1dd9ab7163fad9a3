"""One command at a time changes a playground. Its lock file goes with it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from skep.kit.errors import Conflict

_PATIENCE_S = 60.0
_POLL_S = 0.05


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock. Whoever holds it may delete its file. Raises Conflict when another command
    is at work for longer than anybody should wait."""
    file = _take(path)
    try:
        yield
    finally:
        file.close()


def _take(path: Path) -> TextIO:
    deadline = time.monotonic() + _PATIENCE_S
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("w")
        if _try_lock(file) and _is_at(file, path):
            return file
        file.close()
        if time.monotonic() > deadline:
            raise Conflict(
                "another command has been at work on this playground for "
                f"{_PATIENCE_S:g} s: wait for it, or end it (it holds {path})"
            )
        time.sleep(_POLL_S)


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether it is still this file that others would lock, or it was deleted meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
