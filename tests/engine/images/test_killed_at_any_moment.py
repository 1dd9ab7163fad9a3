"""kill -9 in the middle of a load: the next start has the image whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from skep.engine.images import ImageStore
from skep.kit.errors import NotFound
from skep.testing.images import make_image

from .conftest import EMPTY

LOADER = """
import asyncio, sys
from pathlib import Path
from skep.engine.images import ImageStore

async def pieces(path):
    yield path.read_bytes()

async def main(root, archive):
    images = ImageStore(root)
    await images.open()
    print("open", flush=True)
    await images.load(pieces(archive))
    await images.close()

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.mark.parametrize("delay_ms", [1, 5, 10, 20, 30, 50])
async def test_a_killed_load_leaves_all_or_nothing(tmp_path: Path, delay_ms: int) -> None:
    root, archive = tmp_path / "store", tmp_path / "a.tar"
    image_id = make_image(archive, "web:1", files={f"f{n}": b"x" * 100 for n in range(1500)})
    with subprocess.Popen(  # noqa: ASYNC220 (nothing else runs here)
        [sys.executable, "-c", LOADER, root, archive], stdout=subprocess.PIPE
    ) as loader:
        assert loader.stdout is not None
        assert loader.stdout.readline() == b"open\n"
        time.sleep(delay_ms / 1000)  # noqa: ASYNC251
        loader.kill()
    images = ImageStore(root)
    await images.open()
    assert list((root / "tmp").iterdir()) == []
    try:
        image = await images.resolve("web:1")
    except NotFound:
        await images.prune()
        left = {name: [path.name for path in (root / name).iterdir()] for name in EMPTY}
        assert left == EMPTY
    else:
        assert image.id == image_id
        assert len(list(images.layers(image)[0].iterdir())) == 1500
    await images.close()
