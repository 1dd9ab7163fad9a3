"""`skep cp`: files into and out of containers, by the rules of cp -r."""

from __future__ import annotations

import base64
import json
import posixpath
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import TWO, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session
from skep.cli.show.units import human_size

_NOT_FOUND = 404
_MODE_DIR = 1 << 31
_MODE_SYMLINK = 1 << 27
"""Go's bits for what a file is, in the mode that the API gives."""


def split_place(text: str) -> tuple[str, str]:
    """`container:path` apart; a path of this machine has no container."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith((".", "/")) or "/" in container:
        return "", text
    return container, path


def _copy(session: Session, options: Options, arguments: list[str]) -> None:
    source_container, source = split_place(arguments[0])
    target_container, target = split_place(arguments[1])
    if source_container and target_container:
        raise Failure("copying between containers is not supported")
    if not source_container and not target_container:
        raise Failure("must specify at least one container source")
    if source_container:
        count = _from_container(session, options, source_container, source, target)
    else:
        count = _to_container(session, options, source, target_container, target)
    if count is not None and not options.yes("quiet"):
        session.complain(f"Successfully copied {human_size(count, 3)} to {arguments[1]}")


def _stat(session: Session, container: str, path: str) -> dict[str, Any] | None:
    """What is at `path` in the container; None when nothing is."""
    try:
        response = session.client.stream("HEAD", f"/containers/{container}/archive", {"path": path})
    except ApiFailure as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    header = response.headers.get("x-docker-container-path-stat", "")
    found: dict[str, Any] = json.loads(base64.b64decode(header))
    return found


def _from_container(
    session: Session, options: Options, container: str, source: str, target: str
) -> int | None:
    path = source or "/"
    if options.yes("follow-link"):
        path = _followed(session, container, path)
    response = session.client.stream("GET", f"/containers/{container}/archive", {"path": path})
    if target == "-":
        for piece in response.chunks():
            session.out.write(piece)
        return None
    from skep.cli.streams.archive import ChunkReader, unpack

    reader = ChunkReader(response.chunks())
    described = response.headers.get("x-docker-container-path-stat", "")
    is_folder = bool(json.loads(base64.b64decode(described))["mode"] & _MODE_DIR)
    old = posixpath.basename(posixpath.normpath(path)).strip("/.")
    folder, new = local_target(Path(target), target, old, source, is_folder=is_folder)
    unpack(reader, folder, old, new, keep_owner=options.yes("archive"))
    return reader.count


def local_target(
    target: Path, text: str, name: str, source: str, *, is_folder: bool
) -> tuple[Path, str]:
    """The folder to unpack into and the name that the copied thing gets there."""
    if target.is_dir():
        contents_only = source.endswith("/.") and is_folder
        return target, "" if contents_only else name
    if is_folder and target.exists():
        raise Failure("cannot copy directory: the destination is a file")
    if not target.parent.is_dir():
        raise Failure(f"invalid output path: directory {str(target.parent)!r} does not exist")
    if text.endswith("/") and not is_folder:
        raise Failure(f"cannot copy a file to {text}: there is no such directory")
    return target.parent, target.name


def _followed(session: Session, container: str, path: str) -> str:
    found = _stat(session, container, path)
    if found and found["mode"] & _MODE_SYMLINK:
        return posixpath.join(posixpath.dirname(path), found["linkTarget"])
    return path


def _to_container(
    session: Session, options: Options, source: str, container: str, target: str
) -> int | None:
    path = target or "/"
    found = _stat(session, container, path)
    into_folder = bool(found and found["mode"] & _MODE_DIR)
    if found and found["mode"] & _MODE_SYMLINK:
        path = posixpath.join(posixpath.dirname(path), found["linkTarget"])
        link_end = _stat(session, container, path)
        into_folder = bool(link_end and link_end["mode"] & _MODE_DIR)
    counter = _Counter()
    if source == "-":
        if not into_folder:
            raise Failure(f'destination "{container}:{target}" must be a directory')
        content: Iterable[bytes] = iter(lambda: sys.stdin.buffer.read(1 << 18), b"")
        folder = path
    else:
        from skep.cli.streams.archive import pack

        local = Path(source)
        folder, name = container_target(local, source, path, into_folder=into_folder)
        content = pack(local, name, follow=options.yes("follow-link"))
    query = {
        "path": folder,
        "noOverwriteDirNonDir": "true",
        "copyUIDGID": options.yes("archive") or None,
    }
    headers = {"Content-Type": "application/x-tar"}
    session.client.stream(
        "PUT", f"/containers/{container}/archive", query, counter.over(content), headers
    )
    return counter.count


def container_target(local: Path, text: str, target: str, *, into_folder: bool) -> tuple[str, str]:
    """The container's folder to unpack into, and the name of the archive's root entry."""
    try:
        is_folder = stat.S_ISDIR(local.stat().st_mode)
    except OSError as error:
        raise Failure(f"lstat {text}: {(error.strerror or '').lower()}") from None
    if into_folder:
        contents_only = text.endswith(("/.", "/./")) or text == "."
        return target, "." if contents_only and is_folder else local.resolve().name
    if target.endswith("/") and not is_folder:
        raise Failure(f"the destination directory {target} does not exist in the container")
    clean = posixpath.normpath(target)
    return posixpath.dirname(clean) or "/", posixpath.basename(clean)


class _Counter:
    """Counts the bytes that pass."""

    def __init__(self) -> None:
        self.count = 0

    def over(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.count += len(piece)
            yield piece


CP = Command(
    "CONTAINER:SRC_PATH DEST_PATH|-\n        skep cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    _copy,
    TWO,
    (
        switch("-a --archive", "Archive mode (copy all uid/gid information)"),
        switch("-L --follow-link", "Always follow symbol link in SRC_PATH"),
        switch("-q --quiet", "Say nothing when the copy is done"),
    ),
    notes="A - as source reads a tar archive from standard input; as target it writes one.",
)
