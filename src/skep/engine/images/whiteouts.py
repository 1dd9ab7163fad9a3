"""Deletions in a layer: from the archive's spelling (`.wh.` files) to overlayfs's.

    .wh.NAME        ->  a character device 0:0 called NAME: lower layers' NAME is hidden
    .wh..wh..opq    ->  xattr trusted.overlay.opaque=y on the folder: all below it is hidden

The tree comes from a stranger's archive, so no path in it is ever looked up by name from outside:
each folder is opened from its parent with O_NOFOLLOW, and everything is done through that handle.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from skep.kit.errors import InvalidArgument

_PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"
_OPAQUE_XATTR = "trusted.overlay.opaque"
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 200
"""Each level holds one open handle; real images stay below 60."""


def convert(tree: Path) -> int:
    """Turn all whiteouts under `tree` into overlayfs's form; returns the bytes of its files.

    Hard links count once. Blocking. Raises InvalidArgument for a whiteout that names no file, and
    for folders nested too deeply.
    """
    seen: set[int] = set()
    folder = os.open(tree, _OPEN_FOLDER)
    try:
        return _convert_folder(folder, seen, depth=0)
    finally:
        os.close(folder)


def _convert_folder(folder: int, seen: set[int], depth: int) -> int:
    if depth > _MAX_DEPTH:
        raise InvalidArgument(f"corrupt layer: folders are nested deeper than {_MAX_DEPTH}")
    size_bytes = 0
    whiteouts = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                whiteouts.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                size_bytes += _convert_child(folder, entry.name, seen, depth)
            elif entry.is_file(follow_symlinks=False):
                size_bytes += _size_once(entry.stat(follow_symlinks=False), seen)
    for name in whiteouts:
        _convert_whiteout(folder, name)
    return size_bytes


def _convert_child(parent: int, name: str, seen: set[int], depth: int) -> int:
    folder = os.open(name, _OPEN_FOLDER, dir_fd=parent)
    try:
        return _convert_folder(folder, seen, depth + 1)
    finally:
        os.close(folder)


def _size_once(status: os.stat_result, seen: set[int]) -> int:
    if status.st_nlink > 1:
        if status.st_ino in seen:
            return 0
        seen.add(status.st_ino)
    return status.st_size


def _convert_whiteout(folder: int, whiteout: str) -> None:
    hidden = whiteout.removeprefix(_PREFIX)
    if hidden in {"", ".", ".."} or _is_folder(folder, whiteout):
        raise InvalidArgument(f"corrupt layer: {whiteout!r} is not a whiteout of a file")
    os.unlink(whiteout, dir_fd=folder)
    if whiteout == _OPAQUE:
        os.setxattr(folder, _OPAQUE_XATTR, b"y")
        return
    try:
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
    except FileExistsError:
        _hide_below(folder, hidden)


def _hide_below(folder: int, name: str) -> None:
    """The layer deletes `name` and brings its own: a file hides by itself, a folder is told to."""
    if not _is_folder(folder, name):
        return
    replaced = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        os.setxattr(replaced, _OPAQUE_XATTR, b"y")
    finally:
        os.close(replaced)


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
