"""What is stored, under one roof: layers, image records and names, and how they keep together.

An image is stored in one order: layers (held), record, names; and removed in the other. So a name
always leads to a whole image, whenever the machine stops.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from skep.engine.images.documents import parse_document
from skep.engine.images.layers import LayerStore
from skep.engine.images.listing import Listed
from skep.engine.images.names import NameTable
from skep.engine.images.records import ImageRecords
from skep.engine.images.unpack import Limits
from skep.engine.images.workers import Workers
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, NotFound
from skep.model.image import Image
from skep.model.reference import Reference, parse_reference

OnEvent = Callable[[str, str, str], None]

_WHOLE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_ID_PREFIX = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")


class Shelf:
    """The stored images of one node."""

    def __init__(self, root: Path, limits: Limits, on_event: OnEvent) -> None:
        self.workers = Workers()
        self.limits = limits
        self.on_event = on_event
        self.layers = LayerStore(root, self.workers, limits)
        self.records = ImageRecords(root, self.layers.tmp)
        self.names = NameTable(root)

    def open(self) -> None:
        """Find what is stored. Blocking."""
        self.layers.open()
        self.records.open()
        self.names.open(self.records.__contains__)

    def locate(self, name: str) -> tuple[str, Reference | None]:
        """The id of the named image, and the reference that named it (None: it was named by id).

        Raises NotFound, or InvalidArgument when `name` is malformed or begins several ids.
        """
        reference = None if _WHOLE_ID.fullmatch(name) else parse_reference(name).sought()
        image_id = self.names.find(reference) if reference else None
        if image_id and image_id in self.records:
            return image_id, reference
        matches = self.records.search(name) if _ID_PREFIX.fullmatch(name) else []
        if len(matches) > 1:
            raise InvalidArgument(f"{name} is ambiguous: {len(matches)} images begin with it")
        if not matches:
            raise NotFound(f"No such image: {reference.familiar if reference else name}")
        return matches[0], None

    async def put(self, document: bytes) -> Image:
        """Store an image whose layers are here and held."""
        diff_ids = parse_document(document).diff_ids
        sizes = await self.layer_sizes(diff_ids)
        return await self.records.put(document, sum(sizes), utc_now())

    async def listed(self) -> list[Listed]:
        """Every image with its names."""
        return [self.listed_one(image) for image in await self.records.all()]

    def listed_one(self, image: Image) -> Listed:
        return Listed(image, tuple(self.names.of(image.id)))

    async def layer_sizes(self, diff_ids: Iterable[str]) -> list[int]:
        """Bytes of the files of each layer."""
        return await self.workers.run(lambda: [self.layers.size_bytes(d) for d in diff_ids])

    async def sweep(self) -> dict[str, int]:
        """Delete the layers of no image; returns diff_id -> bytes freed."""
        claimed = await self.records.claimed()
        return {} if claimed is None else await self.layers.sweep(claimed)

    @asynccontextmanager
    async def making(self, diff_ids: Collection[str]) -> AsyncIterator[None]:
        """Hold layers until their image is stored; what a bad image brought is swept away.

        After a failure of the network they stay for the next try.
        """
        try:
            with self.layers.hold(diff_ids):
                yield
        except InvalidArgument:
            await self.sweep()
            raise

    @contextmanager
    def holding(self, image_ids: Sequence[str]) -> Iterator[None]:
        """Keep several images. Raises NotFound when one is gone."""
        with ExitStack() as held:
            for image_id in image_ids:
                held.enter_context(self.records.hold(image_id))
            yield
