"""Layers are one tree for a container, however many there are."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skep.engine.images import ImageStore
from skep.testing.images import make_tar, write_archive

from .conftest import file_stream
from .test_images_in_archives import document


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path as short as a real data root's."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="skep-") as folder:
        yield Path(folder)


@contextmanager
def mounted(folder: Path, lower: list[Path]) -> Iterator[Path]:
    upper, work, target = folder / "upper", folder / "work", folder / "merged"
    for path in (upper, work, target):
        path.mkdir()
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


async def layers_of(folder: Path, *layers: dict[str, bytes]) -> list[Path]:
    """A stored image of these layers, as the engine mounts it."""
    archives = [make_tar(files) for files in layers]
    write_archive(folder / "made.tar", "made:1", document(*archives), archives)
    store = ImageStore(folder / "images")
    await store.open()
    await store.load(file_stream(folder / "made.tar"))
    lower = store.layers(await store.resolve("made:1"))
    await store.close()
    return lower


async def test_upper_layers_replace_and_delete(short: Path) -> None:
    lower = await layers_of(
        short,
        {"kept": b"1", "gone": b"1", "changed": b"1", "d/old": b"1", "e/old": b"1"},
        {".wh.gone": b"", "changed": b"2", "d/.wh..wh..opq": b"", "d/new": b"2"},
    )
    with mounted(short, lower) as merged:
        files = {
            str(path.relative_to(merged)): path.read_bytes()
            for path in merged.rglob("*")
            if path.is_file()
        }
    assert files == {"kept": b"1", "changed": b"2", "d/new": b"2", "e/old": b"1"}


async def test_a_hundred_and_twenty_layers_fit_into_one_mount(short: Path) -> None:
    """mount(2) takes a page of options: by their real paths they would fill two."""
    many = 120
    layers = [{f"f{n}": str(n).encode(), "top": str(n).encode()} for n in range(many)]
    lower = await layers_of(short, *layers)
    assert sum(len(str(path.resolve())) for path in lower) > 2 * 4096
    with mounted(short, lower) as merged:
        assert len(list(merged.iterdir())) == many + 1
        assert (merged / "top").read_text() == str(many - 1)
