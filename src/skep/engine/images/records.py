"""The images of a node: their config documents on disk, read when first asked for.

<root>/images/<hex of id>/config.json    the document, byte for byte: its SHA-256 is the id
                         /image.json     an ImageRecord
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from skep.engine.images.documents import is_sha256, parse_document
from skep.kit.errors import UNDECODABLE, Internal, NotFound, SkepError
from skep.kit.files import reason_of, remove_trees, set_aside, sync_folder
from skep.kit.linux import sync_disk
from skep.model.bounds import Moment
from skep.model.image import Image

_log = logging.getLogger(__name__)


class ImageRecord(msgspec.Struct, frozen=True):
    """What is known of an image beside its document."""

    size_bytes: int
    stored_at: Moment


_RECORD = msgspec.json.Decoder(ImageRecord)
"""Made once, before threads read with it: see containers/record.py."""


class ImageRecords:
    """All images by id; `tmp` is a folder on the same disk for what is being made or deleted."""

    def __init__(self, root: Path, tmp: Path) -> None:
        self._folders = root / "images"
        self._tmp = tmp
        self._images: dict[str, Image | None] = {}
        self._unreadable: set[str] = set()
        self._held: Counter[str] = Counter()

    def open(self) -> None:
        """Find the images; none is read yet. Blocking."""
        self._folders.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = (folder.name for folder in self._folders.iterdir() if folder.is_dir())
        self._images = {f"sha256:{name}": None for name in names if is_sha256(f"sha256:{name}")}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    def search(self, id_prefix: str) -> list[str]:
        """The ids that begin with `id_prefix` (hex, perhaps after `sha256:`)."""
        wanted = "sha256:" + id_prefix.removeprefix("sha256:")
        return [image_id for image_id in self._images if image_id.startswith(wanted)]

    async def get(self, image_id: str) -> Image:
        """Raises NotFound when there is no such image, Internal for one that cannot be read."""
        if image_id not in self._images:
            raise NotFound(f"No such image: {image_id}")
        image = self._images[image_id]
        if image is None:
            image = await asyncio.to_thread(self._read, image_id)
            if image_id in self._images:
                self._images[image_id] = image
        return image

    async def all(self) -> list[Image]:
        """Every image that can be read, in no order; the others are said in the log, once."""
        unread = [
            image_id
            for image_id, image in self._images.items()
            if image is None and image_id not in self._unreadable
        ]
        for image_id in unread:
            try:
                await self.get(image_id)
            except NotFound:
                continue
            except Internal as error:
                _log.error("%s", error)
                self._unreadable.add(image_id)
        return [image for image in self._images.values() if image is not None]

    async def claimed(self) -> set[str] | None:
        """The layers of all images, by diff_id; None when it cannot be told, for there is an image
        that cannot be read."""
        images = await self.all()
        if self._unreadable & self._images.keys():
            return None
        return {diff_id for image in images for diff_id in image.diff_ids}

    async def put(self, document: bytes, size_bytes: int, now: datetime) -> Image:
        """Store an image whose layers are all here; storing it again changes nothing, unless it
        could not be read."""
        image_id = _id_of(document)
        try:
            return await self.get(image_id)
        except (NotFound, Internal):
            record = ImageRecord(size_bytes, now)
            await asyncio.to_thread(self._write, image_id, document, record)
            self._images.setdefault(image_id, None)
            self._unreadable.discard(image_id)
            return await self.get(image_id)

    def forget(self, image_id: str) -> None:
        """From now on there is no such image; `delete` then takes it from the disk."""
        self._images.pop(image_id, None)

    async def delete(self, image_id: str) -> None:
        await asyncio.to_thread(self._delete, image_id)

    @contextmanager
    def hold(self, image_id: str) -> Iterator[None]:
        """Keep an image while something is made from it. Raises NotFound when it is gone."""
        if image_id not in self._images:
            raise NotFound(f"No such image: {image_id}")
        self._held[image_id] += 1
        try:
            yield
        finally:
            self._held -= Counter([image_id])

    def is_held(self, image_id: str) -> bool:
        return image_id in self._held

    def document(self, image_id: str) -> bytes:
        """The config document's own bytes. Blocking."""
        return (self._folder(image_id) / "config.json").read_bytes()

    def _read(self, image_id: str) -> Image:
        folder = self._folder(image_id)
        try:
            record = _RECORD.decode((folder / "image.json").read_bytes())
            document = self.document(image_id)
            if _id_of(document) != image_id:
                raise ValueError("config.json is not what the image's id says")
            parsed = parse_document(
                document, lambda oddity: _log.warning("image %s: left out: %s", image_id, oddity)
            )
        except (OSError, SkepError, *UNDECODABLE) as error:
            raise Internal(
                f"image {image_id} cannot be read ({reason_of(error)}): load or pull it again, or"
                f" look into {folder}"
            ) from None
        return Image(
            id=image_id,
            document=parsed,
            size_bytes=record.size_bytes,
            stored_at=record.stored_at,
        )

    def _write(self, image_id: str, document: bytes, record: ImageRecord) -> None:
        draft = self._tmp / f"image-{os.urandom(8).hex()}"
        draft.mkdir()
        (draft / "config.json").write_bytes(document)
        (draft / "image.json").write_bytes(msgspec.json.encode(record))
        sync_disk(draft)  # the image's layers as well
        folder = self._folder(image_id)
        try:
            if folder.exists() and not self._is_readable(image_id):
                set_aside(folder, "see above", "the image is stored anew")
            draft.rename(folder)
        except OSError:
            remove_trees([draft])
            if not folder.is_dir():
                raise
        sync_folder(self._folders)

    def _is_readable(self, image_id: str) -> bool:
        try:
            self._read(image_id)
        except Internal:
            return False
        return True

    def _delete(self, image_id: str) -> None:
        trash = self._tmp / f"image-{os.urandom(8).hex()}"
        self._folder(image_id).rename(trash)
        remove_trees([trash])

    def _folder(self, image_id: str) -> Path:
        return self._folders / image_id.removeprefix("sha256:")


def _id_of(document: bytes) -> str:
    return f"sha256:{hashlib.sha256(document).hexdigest()}"
