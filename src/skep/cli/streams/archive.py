"""Tar archives between a folder of this machine and the daemon, for `skep cp`."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from skep.cli.errors import Failure

_PIECE = 64 * 1024


class ChunkReader(io.RawIOBase):
    """A body's chunks as a file; `count` is the bytes that were read so far."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._chunks, b"")
            if not piece:
                break
            self._rest += piece
        end = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:end], self._rest[end:]
        self.count += len(piece)
        return piece


def unpack(source: ChunkReader, folder: Path, old: str, new: str, *, keep_owner: bool) -> None:
    """Extract an archive whose entries lie under `old` into `folder`, under `new` instead.

    No entry may lead out of `folder`, by its own name or through a link that came before it.
    """
    root = folder.resolve()
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            renamed = _renamed(member.name, old, new)
            target = root / renamed
            _check_inside(root, target)
            member.name = renamed
            if member.islnk():
                member.linkname = _renamed(member.linkname, old, new)
                _check_inside(root, root / member.linkname)
            if not keep_owner:
                member.uid, member.gid = os.getuid(), os.getgid()
                member.uname = member.gname = ""
            if target.is_symlink() or (target.exists() and not target.is_dir()):
                target.unlink()
            archive.extract(member, root, numeric_owner=True)


def _renamed(name: str, old: str, new: str) -> str:
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if old and parts and parts[0] == old:
        parts = [*([new] if new else []), *parts[1:]]
    return "/".join(parts) or "."


def _check_inside(root: Path, target: Path) -> None:
    parent = target.parent.resolve() if target != root else root
    if ".." in target.parts or not parent.is_relative_to(root):
        raise Failure(f"the archive has an entry outside of its folder: {target}")


def pack(source: Path, name: str, *, follow: bool) -> Iterator[bytes]:
    """`source` as an archive whose root entry is `name`; only a piece at a time is in memory."""
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as archive:
        start = source.resolve() if follow else source
        for path, entry in _walk(start, name):
            info = archive.gettarinfo(str(path), entry)
            if info is None:
                continue  # A socket cannot be archived.
            if info.islnk():
                # Its other name may lie outside of what is copied: send the content.
                info.type, info.size = tarfile.REGTYPE, path.stat().st_size
            yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            if info.isreg():
                yield from _content(path, info.size)
                yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _walk(start: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield start, name
    if start.is_dir() and not start.is_symlink():
        for child in sorted(start.iterdir()):
            yield from _walk(child, f"{name}/{child.name}")


def _content(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        left = size
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise Failure(f"{path} became shorter while it was copied")
            left -= len(piece)
            yield piece
