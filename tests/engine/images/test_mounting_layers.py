"""Layers are one tree for a container, however many there are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skep.engine.images import mount_overlay
from skep.kit.errors import Internal
from skep.testing.images import make_tar, write_archive

from .conftest import Store, file_stream
from .test_images_in_archives import document


@contextmanager
def mounted(folder: Path, lower: list[Path]) -> Iterator[Path]:
    upper, work, target = folder / "up,per", folder / "wo:rk", folder / "merged"
    for path in (upper, work, target):
        path.mkdir()
    mount_overlay(target, lower, upper, work)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


async def layers_of(store: Store, folder: Path, *layers: dict[str, bytes]) -> list[Path]:
    archives = [make_tar(files) for files in layers]
    config = json.loads(document(*archives))
    write_archive(folder / "made.tar", "made:1", json.dumps(config).encode(), archives)
    await store.images.load(file_stream(folder / "made.tar"))
    return store.images.layers(await store.images.resolve("made:1"))


async def test_upper_layers_replace_and_delete(store: Store, tmp_path: Path) -> None:
    lower = await layers_of(
        store,
        tmp_path,
        {"kept": b"1", "gone": b"1", "changed": b"1", "d/old": b"1", "e/old": b"1"},
        {".wh.gone": b"", "changed": b"2", "d/.wh..wh..opq": b"", "d/new": b"2"},
    )
    with mounted(tmp_path, lower) as merged:
        files = {
            str(path.relative_to(merged)): path.read_bytes()
            for path in merged.rglob("*")
            if path.is_file()
        }
    assert files == {"kept": b"1", "changed": b"2", "d/new": b"2", "e/old": b"1"}


@pytest.mark.parametrize("many", [100, 200])
async def test_an_image_may_have_very_many_layers(store: Store, tmp_path: Path, many: int) -> None:
    """Their names alone are longer than the page that mount(2) takes."""
    lower = await layers_of(
        store, tmp_path, *({f"f{n}": str(n).encode(), "top": str(n).encode()} for n in range(many))
    )
    assert sum(len(str(path)) for path in lower) > 4096
    with mounted(tmp_path, lower) as merged:
        assert len(list(merged.iterdir())) == many + 1
        assert (merged / "top").read_text() == str(many - 1)


def test_a_layer_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(Internal, match=r"cannot mount layers at .*: No such file or directory"):
        mount_overlay(tmp_path, [tmp_path / "none"], tmp_path, tmp_path)
