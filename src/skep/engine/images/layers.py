"""Layers on disk: each kept once, packed and unpacked.

    <root>/layers/<hex of diff_id>/diff/        the files, for overlayfs
                                  /blob         the archive as it came (perhaps compressed)
                                  /layer.json   a LayerRecord
    <root>/l/<first 4 or more hex>              symlink to a diff folder, short for mount options
    <root>/tmp/                                 whatever is being made or deleted

A layer is made in tmp/ and renamed into place whole, so what is under layers/ is always complete.
"""

from __future__ import annotations

import errno
import logging
import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from skep.engine.images.compression import is_compressed
from skep.engine.images.documents import is_sha256
from skep.engine.images.unpack import Limits, Unpacked, unpack
from skep.engine.images.workers import Workers
from skep.kit.errors import UNDECODABLE, Internal, InvalidArgument
from skep.kit.files import reason_of, remove_trees, sweep_away
from skep.kit.locks import KeyedLocks

_log = logging.getLogger(__name__)
_MIN_LINK_CHARS = 4


class LayerRecord(msgspec.Struct, frozen=True):
    """What is known of a layer beside its files."""

    blob_digest: str
    blob_bytes: int
    compressed: bool
    tar_bytes: int
    size_bytes: int


_RECORD = msgspec.json.Decoder(LayerRecord)
"""Made once, before threads read with it: see containers/record.py."""


class LayerStore:
    """All unpacked layers under `root`, by diff_id (`sha256:…` of the uncompressed archive)."""

    def __init__(self, root: Path, workers: Workers, limits: Limits) -> None:
        self.tmp = root / "tmp"
        self._folders = root / "layers"
        self._links_folder = root / "l"
        self._workers = workers
        self._limits = limits
        self._links: dict[str, Path] = {}
        self._held: Counter[str] = Counter()
        self._locks = KeyedLocks()

    def open(self) -> None:
        """Find the layers, drop half-made ones, mend the links. Blocking."""
        for folder in (self.tmp, self._folders, self._links_folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep_away(self.tmp.iterdir())
        names = (folder.name for folder in self._folders.iterdir() if folder.is_dir())
        known = {f"sha256:{name}" for name in names if is_sha256(f"sha256:{name}")}
        for link in self._links_folder.iterdir():
            if not link.is_symlink():
                continue
            diff_id = f"sha256:{link.readlink().parent.name}"
            if diff_id in known and diff_id not in self._links:
                self._links[diff_id] = link
            else:
                link.unlink()
        for diff_id in known - self._links.keys():
            self._links[diff_id] = self._make_link(diff_id)

    def __contains__(self, diff_id: str) -> bool:
        return diff_id in self._links

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._links))

    def link(self, diff_id: str) -> Path:
        """The short path of the layer's files."""
        try:
            return self._links[diff_id]
        except KeyError:
            raise Internal(f"layer {diff_id} is missing: remove the image and pull it") from None

    def diff(self, diff_id: str) -> Path:
        """The layer's files, by their real path."""
        return self._folder(diff_id) / "diff"

    def blob(self, diff_id: str) -> Path:
        """The layer's archive, as it came."""
        return self._folder(diff_id) / "blob"

    def record(self, diff_id: str) -> LayerRecord:
        """Read a layer's record. Raises Internal when it cannot be read. Blocking."""
        path = self._folder(diff_id) / "layer.json"
        try:
            return _RECORD.decode(path.read_bytes())
        except (OSError, *UNDECODABLE) as error:
            raise Internal(f"{path} cannot be read: {reason_of(error)}") from None

    def size_bytes(self, diff_id: str) -> int:
        """Of the layer's files; 0 when its record cannot be read. Blocking."""
        try:
            return self.record(diff_id).size_bytes
        except Internal as error:
            _log.error("%s", error)
            return 0

    def scratch(self, kind: str) -> Path:
        """A fresh path in tmp/, on the same disk as the layers; a crash cleans it up."""
        return self.tmp / f"{kind}-{secrets.token_hex(8)}"

    @contextmanager
    def hold(self, diff_ids: Collection[str]) -> Iterator[None]:
        """Keep layers that no image claims yet from being swept."""
        held = Counter(iter(diff_ids))
        self._held += held
        try:
            yield
        finally:
            self._held -= held

    async def add(self, diff_id: str, blob: Path, blob_digest: str) -> None:
        """Take the archive `blob` (a file in tmp/) as layer `diff_id`, unless it is here already.

        Raises InvalidArgument when its bytes are another layer's.
        """
        async with self._locks.hold(diff_id):
            if diff_id not in self._links:
                await self._make(blob, blob_digest, diff_id)

    @asynccontextmanager
    async def adding(self, blob: Path, blob_digest: str) -> AsyncIterator[str]:
        """Take an archive whose diff_id is not known yet; held while the block lasts."""
        diff_id = await self._make(blob, blob_digest, None)
        with self.hold([diff_id]):
            yield diff_id

    async def sweep(self, claimed: Collection[str]) -> dict[str, int]:
        """Delete the layers that are neither claimed nor held; returns diff_id -> bytes freed."""
        freed: dict[str, int] = {}
        for diff_id in [d for d in self._links if d not in claimed]:
            async with self._locks.hold(diff_id):
                if diff_id in self._links and diff_id not in self._held:
                    link = self._links.pop(diff_id)
                    freed[diff_id] = await self._workers.run(partial(self._delete, diff_id, link))
        return freed

    async def _make(self, blob: Path, blob_digest: str, expected: str | None) -> str:
        """Make a layer in a thread that gives up when nobody waits any more."""
        abandoned = threading.Event()
        work = partial(self._make_blocking, blob, blob_digest, expected, abandoned)
        return await self._workers.run(work, abandoned)

    def _make_blocking(
        self, blob: Path, blob_digest: str, expected: str | None, abandoned: threading.Event
    ) -> str:
        """Unpack in tmp/ and rename into place; returns the diff_id. The blob moves along."""
        draft = self.scratch("layer")
        (draft / "diff").mkdir(parents=True)
        (draft / "diff").chmod(0o755)
        try:
            unpacked = unpack(blob, draft / "diff", self._limits, abandoned.is_set)
            if expected not in (None, unpacked.diff_id):
                raise InvalidArgument(
                    f"layer verification failed: its digest is {unpacked.diff_id}, "
                    f"the image says {expected}"
                )
            _write_record(draft / "layer.json", blob, blob_digest, unpacked)
            blob.rename(draft / "blob")
            _rename_unless_there(draft, self._folder(unpacked.diff_id))
        finally:
            remove_trees([draft])
        if unpacked.diff_id not in self._links:
            self._links[unpacked.diff_id] = self._make_link(unpacked.diff_id)
        return unpacked.diff_id

    def _folder(self, diff_id: str) -> Path:
        return self._folders / diff_id.removeprefix("sha256:")

    def _make_link(self, diff_id: str) -> Path:
        name = diff_id.removeprefix("sha256:")
        for length in range(_MIN_LINK_CHARS, len(name) + 1):
            link = self._links_folder / name[:length]
            with suppress(FileExistsError):
                link.symlink_to(f"../layers/{name}/diff")
                return link
        raise Internal(f"layer {diff_id} has a link already")

    def _delete(self, diff_id: str, link: Path) -> int:
        size_bytes = self.size_bytes(diff_id)
        link.unlink(missing_ok=True)
        trash = self.scratch("deleted")
        self._folder(diff_id).rename(trash)
        remove_trees([trash])
        return size_bytes


def _write_record(path: Path, blob: Path, blob_digest: str, unpacked: Unpacked) -> None:
    record = LayerRecord(
        blob_digest=blob_digest,
        blob_bytes=blob.stat().st_size,
        compressed=is_compressed(blob),
        tar_bytes=unpacked.tar_bytes,
        size_bytes=unpacked.size_bytes,
    )
    path.write_bytes(msgspec.json.encode(record))


def _rename_unless_there(draft: Path, folder: Path) -> None:
    """Two transfers may bring the same layer: the first one stays."""
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
