"""Loads, saves and imports as the store offers them: byte streams in and out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from skep.engine.images import export, file_streams
from skep.engine.images.archive import ArchivedImage, ArchivedLayer, ImageArchive
from skep.engine.images.changes import apply_changes
from skep.engine.images.shelf import Shelf
from skep.engine.images.transfer import one_error
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument
from skep.model.image import HistoryEntry, ImageConfig, ImageDocument, Platform, RootFS
from skep.model.reference import Reference, parse_reference


class LoadedImage(msgspec.Struct, frozen=True):
    """An image that an archive brought: its id, and its names in familiar form."""

    id: str
    names: tuple[str, ...]


class Archives:
    """Images from and to archives."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def load(self, archive: AsyncIterable[bytes]) -> list[LoadedImage]:
        shelf = self._shelf
        async with self._spooled(archive) as path:
            await shelf.workers.run(partial(file_streams.expand, path, shelf.limits.plain_bytes))
            reader = await shelf.workers.run(partial(ImageArchive, path))
            images = await shelf.workers.run(reader.images)
            layers = {layer.diff_id: layer for image in images for layer in image.layers}
            async with shelf.making(layers):
                async with one_error(), asyncio.TaskGroup() as unpacking:
                    for layer in layers.values():
                        unpacking.create_task(self._take_layer(reader, layer))
                return [await self._take_image(image) for image in images]

    async def _take_layer(self, reader: ImageArchive, layer: ArchivedLayer) -> None:
        layers = self._shelf.layers
        if layer.diff_id in layers:
            return
        blob = layers.scratch("blob")
        try:
            digest = await self._shelf.workers.run(partial(reader.copy, layer, blob))
            await layers.add(layer.diff_id, blob, digest)
        finally:
            blob.unlink(missing_ok=True)

    async def _take_image(self, archived: ArchivedImage) -> LoadedImage:
        image = await self._shelf.put(archived.document)
        await self._shelf.names.point(archived.names, image.id, utc_now())
        names = tuple(name.familiar for name in archived.names)
        self._shelf.on_event("load", image.id, names[0] if names else image.id)
        return LoadedImage(image.id, names)

    async def save(self, names: Collection[str]) -> AsyncIterator[bytes]:
        chosen: dict[str, list[Reference]] = {}
        for name in names:
            image_id, asked = self._shelf.locate(name)
            tags = [asked] if asked and asked.tag else []
            chosen.setdefault(image_id, []).extend(tags)
        exported = [await self._exported(image_id, tags) for image_id, tags in chosen.items()]
        return self._save(exported, tuple(chosen))

    async def _exported(self, image_id: str, tags: list[Reference]) -> export.ExportedImage:
        records = self._shelf.records
        image = await records.get(image_id)
        document = await self._shelf.workers.run(partial(records.document, image_id))
        return export.ExportedImage(document, image.diff_ids, tuple(dict.fromkeys(tags)))

    async def _save(
        self, exported: Sequence[export.ExportedImage], image_ids: Sequence[str]
    ) -> AsyncIterator[bytes]:
        with self._shelf.holding(image_ids):
            async for chunk in file_streams.stream(export.archive(exported, self._shelf.layers)):
                yield chunk

    async def import_(
        self,
        rootfs: AsyncIterable[bytes],
        name: str,
        changes: Collection[str],
        message: str,
        platform: Platform,
    ) -> str:
        names = [tag_reference(name)] if name else []
        config = apply_changes(ImageConfig(), changes)
        async with self._spooled(rootfs) as path:
            digest = await self._shelf.workers.run(partial(_file_digest, path))
            async with self._shelf.layers.adding(path, digest) as diff_id:
                document = _imported(diff_id, config, platform, message, utc_now())
                image = await self._shelf.put(msgspec.json.encode(document))
        await self._shelf.names.point(names, image.id, utc_now())
        self._shelf.on_event("import", image.id, name or image.id)
        return image.id

    @asynccontextmanager
    async def _spooled(self, stream: AsyncIterable[bytes]) -> AsyncIterator[Path]:
        """A stream as a file in tmp/ for as long as the block lasts."""
        path = self._shelf.layers.scratch("upload")
        try:
            await file_streams.spool(stream, path)
            yield path
        finally:
            path.unlink(missing_ok=True)


def tag_reference(name: str) -> Reference:
    """A name that an image can be given; raises InvalidArgument."""
    reference = parse_reference(name).with_default_tag()
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    return reference


def _imported(
    diff_id: str, config: ImageConfig, platform: Platform, message: str, now: datetime
) -> ImageDocument:
    step = HistoryEntry(created=now, comment=message or "Imported from -")
    return ImageDocument(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        rootfs=RootFS((diff_id,)),
        config=config,
        created=now,
        comment=step.comment,
        history=(step,),
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
