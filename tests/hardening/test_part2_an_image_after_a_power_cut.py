"""Of part 2, which was only read: an image was named on the disk before its layers were sure to be
there, so a power cut could leave an image with holes. One syncfs comes between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.engine.images import ImageStore
from skep.kit import linux
from skep.testing.images import make_image


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


async def test_its_layers_are_synced_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, archive = tmp_path / "store", tmp_path / "archive.tar"
    make_image(archive, "box:1", files={"more": b"1"})
    at_sync = []

    def syncfs(_: int) -> int:
        layers = len(list((root / "layers").glob("*/layer.json")))
        described = len(list((root / "tmp").glob("image-*/image.json")))
        named = len(list((root / "images").iterdir()))
        at_sync.append((layers, described, named))
        return 0

    monkeypatch.setattr(linux._libc, "syncfs", syncfs, raising=False)
    images = ImageStore(root)
    await images.open()
    try:
        await images.load(_pieces(archive))
    finally:
        await images.close()
    assert at_sync == [(2, 1, 0)]
    assert len(list((root / "images").iterdir())) == 1
