"""A disk of a few MiB that a test can fill: a tmpfs of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from skep.kit.linux import mount, unmount

_PAGE_BYTES = 4096


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *, pages_left: int = 0) -> None:
        """Leave room for so many pages (of 4 KiB) and no more."""
        with self._ballast.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(_PAGE_BYTES)) == _PAGE_BYTES:
                    pass
            file.truncate((file.tell() // _PAGE_BYTES - pages_left) * _PAGE_BYTES)

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int = 64) -> Iterator[SmallDisk]:
    """Mounted at `folder`, which is made, until the block ends."""
    folder.mkdir(parents=True)
    mount("skep-test-disk", folder, "tmpfs", data=f"size={mebibytes}m")
    try:
        yield SmallDisk(folder)
    finally:
        unmount(folder)
