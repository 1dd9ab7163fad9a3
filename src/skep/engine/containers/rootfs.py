"""A container's root file system: an overlay of its image's layers under its own changes.

Blocking; runs in a worker thread. Everything here is named from the container's id and can be
done again: after a crash, mounting and unmounting go on from wherever they were.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from skep.engine.containers.users import MAX_FILE_BYTES
from skep.kit.errors import Internal
from skep.kit.linux import mount, mounts_below, open_file_in_root, unmount

_PAGE_BYTES = 4096
"""mount(2) takes one page of options."""


def mount_overlay(layers: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Mount `layers` (topmost first) under `upper` at `target`. Raises Internal.

    More layers than a page of options has room for are named by descriptors, which are short.
    """
    with contextlib.ExitStack() as opened:
        lower = ":".join(map(str, layers))
        if len(lower) + len(str(upper)) + len(str(work)) + 64 > _PAGE_BYTES:
            lower = ":".join(_descriptor_path(layer, opened) for layer in layers)
        try:
            mount(
                "overlay",
                target,
                "overlay",
                data=f"lowerdir={lower},upperdir={upper},workdir={work}",
            )
        except OSError as error:
            raise Internal(
                f"cannot mount the container's file system at {target}: {error.strerror}"
            ) from None


def make_skeleton(folder: Path) -> None:
    """The folders and files that are mounted over in every container, as one layer below all
    images: else each container makes them in its own (docker has a layer of them each)."""
    for name in ("dev", "etc", "proc", "sys"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("hostname", "hosts", "resolv.conf"):
        (folder / "etc" / name).touch(mode=0o644)


def _descriptor_path(folder: Path, opened: contextlib.ExitStack) -> str:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return f"/proc/self/fd/{descriptor}"


def read_in_rootfs(rootfs: Path, path: str) -> str:
    """The text of a file of the container ("" when there is none), never of one of ours.

    What is no plain file, or is beyond reason in size, is not read.
    """
    try:
        descriptor = open_file_in_root(rootfs, path)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if os.fstat(descriptor).st_size > MAX_FILE_BYTES:
            return ""
        return (file.read(MAX_FILE_BYTES) or b"").decode(errors="replace")


def remove_place(place: Path) -> None:
    """Unmount whatever is mounted in a container's folder of the exec root, and remove it."""
    unmount(place / "rootfs")
    try:
        shutil.rmtree(place)
    except FileNotFoundError:
        return
    except OSError:
        for point in mounts_below(place):
            unmount(point)
        shutil.rmtree(place, ignore_errors=True)
