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

from skep.engine.images.documents import parse_document
from skep.kit.errors import NotFound
from skep.kit.files import remove_trees, sync_folder, write_atomically
from skep.model.image import Image

_log = logging.getLogger(__name__)


class ImageRecord(msgspec.Struct, frozen=True):
    """What is known of an image beside its document."""

    size_bytes: int
    stored_at: datetime


class ImageRecords:
    """All images by id; `tmp` is a folder on the same disk for what is being made or deleted."""

    def __init__(self, root: Path, tmp: Path) -> None:
        self._folders = root / "images"
        self._tmp = tmp
        self._images: dict[str, Image | None] = {}
        self._held: Counter[str] = Counter()

    def open(self) -> None:
        """Find the images; none is read yet. Blocking."""
        self._folders.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._images = {f"sha256:{folder.name}": None for folder in self._folders.iterdir()}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    def search(self, id_prefix: str) -> list[str]:
        """The ids that begin with `id_prefix` (hex, perhaps after `sha256:`)."""
        wanted = "sha256:" + id_prefix.removeprefix("sha256:")
        return [image_id for image_id in self._images if image_id.startswith(wanted)]

    async def get(self, image_id: str) -> Image:
        """Raises NotFound when there is no such image."""
        if image_id not in self._images:
            raise NotFound(f"No such image: {image_id}")
        image = self._images[image_id]
        if image is None:
            image = await asyncio.to_thread(self._read, image_id)
            if image_id in self._images:
                self._images[image_id] = image
        return image

    async def all(self) -> list[Image]:
        """Every image, in no order."""
        unread = [image_id for image_id, image in self._images.items() if image is None]
        if unread:
            for image in await asyncio.to_thread(lambda: [self._read(i) for i in unread]):
                if image.id in self._images:
                    self._images[image.id] = image
        return [image for image in self._images.values() if image is not None]

    async def put(self, document: bytes, size_bytes: int, now: datetime) -> Image:
        """Store an image whose layers are all here; storing it again changes nothing."""
        image_id = f"sha256:{hashlib.sha256(document).hexdigest()}"
        if image_id not in self._images:
            record = ImageRecord(size_bytes, now)
            await asyncio.to_thread(self._write, image_id, document, record)
            self._images.setdefault(image_id, None)
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
        record = msgspec.json.decode(
            (self._folder(image_id) / "image.json").read_bytes(), type=ImageRecord
        )
        return Image(
            id=image_id,
            document=parse_document(
                self.document(image_id),
                lambda oddity: _log.warning("image %s: left out: %s", image_id, oddity),
            ),
            size_bytes=record.size_bytes,
            stored_at=record.stored_at,
        )

    def _write(self, image_id: str, document: bytes, record: ImageRecord) -> None:
        draft = self._tmp / f"image-{os.urandom(8).hex()}"
        draft.mkdir()
        write_atomically(draft / "config.json", document)
        write_atomically(draft / "image.json", msgspec.json.encode(record))
        try:
            draft.rename(self._folder(image_id))
        except OSError:
            remove_trees([draft])
            if not self._folder(image_id).is_dir():
                raise
        sync_folder(self._folders)

    def _delete(self, image_id: str) -> None:
        trash = self._tmp / f"image-{os.urandom(8).hex()}"
        self._folder(image_id).rename(trash)
        remove_trees([trash])

    def _folder(self, image_id: str) -> Path:
        return self._folders / image_id.removeprefix("sha256:")
