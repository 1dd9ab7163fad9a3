"""One layer's archive into one folder, and nowhere else.

GNU tar writes the files: it drops leading slashes, refuses `..`, and puts symbolic links that
could lead outside in place only after everything else. It extracts into an empty folder, always:
the known ways out of such an extraction need links from an earlier one. Extended attributes are
limited to file capabilities and `user.*`, because an archive must not speak overlayfs's own
(`trusted.overlay`). The digest of the plain bytes is taken on the way through; whiteouts are
converted afterwards (whiteouts.py).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

import msgspec

from skep.engine.images import whiteouts
from skep.engine.images.compression import plain_chunks
from skep.kit.errors import Internal, InvalidArgument, SkepError

_COMMAND = (
    "tar", "--extract", "--verbose", "--file=-",
    "--numeric-owner", "--same-owner", "--same-permissions",
    "--xattrs", "--xattrs-include=security.capability", "--xattrs-include=user.*",
    "--warning=no-timestamp", "--warning=no-unknown-keyword", "--quoting-style=escape",
    "--exclude=.wh..wh.plnk", "--exclude=.wh..wh.orph", "--exclude=.wh..wh.aufs",
)  # fmt: skip
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
_COMPLAINT = b"tar: "
_MAX_COMPLAINTS = 20


class Limits(msgspec.Struct, frozen=True):
    """What one layer may take on disk before it is refused."""

    plain_bytes: int = 64 << 30
    entries: int = 4_000_000


class Unpacked(msgspec.Struct, frozen=True):
    """What came out of an archive."""

    diff_id: str
    """`sha256:…` of the uncompressed archive."""
    tar_bytes: int
    """Length of the uncompressed archive."""
    size_bytes: int
    """Bytes of the files on disk."""


class Abandoned(Exception):
    """Nobody wants the result any more."""


def unpack(
    archive: Path,
    folder: Path,
    limits: Limits,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Unpacked:
    """Extract the (perhaps compressed) tar `archive` into the empty `folder`. Blocking.

    Raises InvalidArgument when it is corrupt, hostile or over the limits, Internal when the disk
    refuses, Abandoned; the folder is then left for the caller to remove.
    """
    digest = hashlib.sha256()
    tar_bytes = 0
    with _Tar(folder, limits.entries) as tar, closing(plain_chunks(archive)) as chunks:
        for chunk in chunks:
            if is_abandoned():
                raise Abandoned
            digest.update(chunk)
            tar_bytes += len(chunk)
            if tar_bytes > limits.plain_bytes:
                raise InvalidArgument(f"layer is larger than {limits.plain_bytes} bytes")
            tar.write(chunk)
        tar.finish()
    size_bytes = whiteouts.convert(folder)
    return Unpacked(f"sha256:{digest.hexdigest()}", tar_bytes, size_bytes)


class _Tar:
    """A running tar(1) that is fed with `write`; leaving the block early kills it."""

    def __init__(self, folder: Path, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries = 0
        self._complaints: list[str] = []
        self._child = subprocess.Popen(
            [*_COMMAND, f"--directory={folder}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            umask=0o022,
            bufsize=0,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> _Tar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._end_input()
        self._child.wait()
        self._listener.join()

    def write(self, chunk: bytes) -> None:
        """Feed the archive. A tar that has seen its end stops reading: the rest is padding."""
        assert self._child.stdin is not None
        view = memoryview(chunk)
        with suppress(BrokenPipeError):
            while view:
                view = view[self._child.stdin.write(view) or 0 :]

    def finish(self) -> None:
        """End the archive and wait for the verdict."""
        self._end_input()
        failed = self._child.wait() != 0
        self._listener.join()
        if self._entries > self._max_entries:
            raise InvalidArgument(f"layer has more than {self._max_entries} files")
        if failed:
            raise _verdict(self._complaints)

    def _end_input(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

    def _listen(self) -> None:
        """Count the members that tar names (escaped, so one a line), keep what it complains of."""
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            rest = b""
            while block := lines.read(1 << 16):
                self._entries += block.count(b"\n")
                if self._entries > self._max_entries:
                    self._child.kill()
                *whole, rest = (rest + block).split(b"\n")
                self._keep_complaints(whole)

    def _keep_complaints(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.startswith(_COMPLAINT) and len(self._complaints) < _MAX_COMPLAINTS:
                self._complaints.append(line.removeprefix(_COMPLAINT).decode(errors="replace"))


def _verdict(complaints: list[str]) -> SkepError:
    """tar's first serious complaint as an error for people."""
    for complaint in complaints:
        if complaint.endswith("No space left on device"):
            return Internal(f"cannot unpack layer: {complaint}")
    notable = [c for c in complaints if not c.startswith(("Removing leading", "Exiting"))]
    return InvalidArgument(f"corrupt layer: {notable[0] if notable else 'tar gave up'}")
