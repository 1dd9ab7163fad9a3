"""A real store in a folder of the test's own, and a real registry on a loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from skep.engine.images import ImageStore, ImageUser
from skep.testing.images import make_image
from skep.testing.registry import Registry, serve_registry


class Store(NamedTuple):
    """A store with what it was told: `users` can be filled, `events` are recorded."""

    images: ImageStore
    root: Path
    users: list[ImageUser]
    events: list[tuple[str, str, str]]

    def on_disk(self) -> dict[str, list[str]]:
        """Names in each of the store's folders."""
        folders = ("images", "l", "layers", "tmp")
        return {name: sorted(p.name for p in (self.root / name).iterdir()) for name in folders}


EMPTY: dict[str, list[str]] = {"images": [], "l": [], "layers": [], "tmp": []}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    users: list[ImageUser] = []
    events: list[tuple[str, str, str]] = []
    root = tmp_path / "store"
    images = ImageStore(root, users=lambda: users, on_event=lambda *event: events.append(event))
    await images.open()
    yield Store(images, root, users, events)
    await images.close()


async def file_stream(path: Path) -> AsyncIterator[bytes]:
    """A file in small pieces, as an upload comes."""
    content = await asyncio.to_thread(path.read_bytes)
    for start in range(0, len(content), 1 << 16):
        yield content[start : start + (1 << 16)]


async def byte_stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def load_image(store: Store, name: str, **options: Any) -> str:
    """Make a small image and load it; its id."""
    path = store.root.parent / "made.tar"
    image_id = make_image(path, name, **options)
    await store.images.load(file_stream(path))
    return image_id


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that anybody may use."""
    with serve_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for USER with PASSWORD only."""
    with serve_registry(tmp_path_factory.mktemp("locked-registry"), locked=True) as registry:
        yield registry
