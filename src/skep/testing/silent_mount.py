"""A file system that never answers: a FUSE that nobody serves, as a file server that went away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from skep.kit.linux import mount, unmount


@contextlib.contextmanager
def silent_mount(folder: Path) -> Iterator[Path]:
    """Every look into the folder hangs, until the block's end: then all of them fail at once.

    The kernel ends it with the descriptor, so also when this process is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        words = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other"
        mount("silent", folder, "fuse", data=words)
        yield folder
    finally:
        os.close(server)
        unmount(folder)
