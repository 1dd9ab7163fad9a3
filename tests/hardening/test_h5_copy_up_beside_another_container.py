"""H5: an empty volume took the image's files by path, as root. Another container that had the
volume mounted swapped a folder for a link while that went on, and the files lay in the host's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from skep.engine.containers.preparation import populate_volumes
from skep.engine.containers.record import MountRecord

_FILES = 1500


@contextlib.contextmanager
def _swapping(volume: Path, outside: Path) -> Iterator[list[bool]]:
    """A container that swaps `conf` for a link out of the volume as soon as it appears."""
    over = threading.Event()
    swapped: list[bool] = []

    def swap() -> None:
        while not over.is_set() and not swapped:
            with contextlib.suppress(FileNotFoundError):
                (volume / "conf").rename(volume / "moved")
                (volume / "conf").symlink_to(outside)
                swapped.append(True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swapped
    finally:
        over.set()
        thread.join()


def test_nothing_gets_out_of_the_volume(tmp_path: Path) -> None:
    rootfs, volume, outside = (tmp_path / name for name in ("rootfs", "volume", "cron.d"))
    (rootfs / "data/conf").mkdir(parents=True)
    for number in range(_FILES):
        (rootfs / f"data/conf/{number}").write_text("* * * * * root mine\n")
    mount = MountRecord(type="volume", destination="/data", source="shared", copy_up=True)
    for attempt in range(3):
        volume = tmp_path / f"volume-{attempt}"
        for folder in (volume, outside):
            folder.mkdir(exist_ok=True)
        with _swapping(volume, outside) as swapped:
            populate_volumes([mount], rootfs, {"shared": volume})
        assert list(outside.iterdir()) == []
        assert swapped
        assert len(list((volume / "moved").iterdir())) == _FILES
