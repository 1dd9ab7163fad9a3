"""What another user of the host could reach below a folder that is root's."""

from __future__ import annotations

import stat
from pathlib import Path

_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH


def readable_by_others(folder: Path) -> list[str]:
    """`folder` and all below it that a foreign uid may read, write, run or enter, each with its
    mode, the ways to it being open. Links count for what they lead to, which is elsewhere."""
    found: list[str] = []
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & _OTHERS:
                continue
            found.append(f"{stat.filemode(mode)} {path}")
            if stat.S_ISDIR(mode) and mode & stat.S_IXOTH:
                waiting.extend(path.iterdir())
        except FileNotFoundError:
            continue  # what lives goes on making and removing files
    return sorted(found)
