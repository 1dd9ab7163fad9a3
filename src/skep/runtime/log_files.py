"""A container's log files: read from the start or the end, followed, rotated.

The current file stands at the log's path; `<path>.1` is the one before it, `<path>.2` older.
Rotating renames them and tells conmon to open a new file; until conmon has done so it goes on
writing to the renamed one, so a reader leaves a file only when a newer one is there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

from skep.runtime.bundle import Value
from skep.runtime.door import Runtime
from skep.runtime.logs import LogLine, LogParser, parse_record

FOLLOW_PERIOD_S = 0.1
_CHUNK_BYTES = 256 * 1024


class Rotation(Value, frozen=True):
    """docker's max-size and max-file: when to begin a new file, how many to keep in all."""

    max_size_bytes: int
    max_files: int = 1


class Ticker:
    """A beat that all followers share: one timer while there is any follower, none without."""

    def __init__(self, period_s: float = FOLLOW_PERIOD_S) -> None:
        self._period_s = period_s
        self._next: asyncio.Future[None] | None = None

    async def beat(self) -> None:
        """Wait for the next beat."""
        if self._next is None or self._next.done():
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_later(self._period_s, _settle, self._next)
        await asyncio.shield(self._next)


async def read_log(
    path: Path,
    *,
    since_ns: int = 0,
    until_ns: int | None = None,
    tail: int | None = None,
    alive: Callable[[], bool] | None = None,
    pulse: Ticker | None = None,
) -> AsyncIterator[list[LogLine]]:
    """The log's lines in order, in batches that are never empty.

    `tail` takes the last so many (of both streams together, as docker does), then `since_ns` and
    `until_ns` (inclusive) choose among them. With `alive` the log is followed until it says False
    and all that was written is read. A log that does not exist (yet) is empty.
    """
    parser = LogParser()
    pulse = pulse or Ticker()
    async for data in _chunks(path, tail, alive, pulse):
        lines = parser.feed(data) if data else parser.flush()
        chosen = [
            line
            for line in lines
            if line.time_ns >= since_ns and (until_ns is None or line.time_ns <= until_ns)
        ]
        if chosen:
            yield chosen
        if until_ns is not None and lines and lines[-1].time_ns > until_ns:
            return


async def keep_small(runtime: Runtime, container_id: str, path: Path, rotation: Rotation) -> bool:
    """Rotate a running container's log when it has grown too large; True when it was."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size < rotation.max_size_bytes:
        return False
    await asyncio.to_thread(rotate, path, rotation.max_files)
    await runtime.reopen_log(container_id)
    return True


def rotate(path: Path, max_files: int) -> None:
    """Make place at `path`: every file gets one number older, those beyond `max_files` go."""
    numbered = _numbered(path)
    for number in sorted(numbered, reverse=True):
        if number + 1 >= max_files:
            numbered[number].unlink(missing_ok=True)
        else:
            numbered[number].replace(_older(path, number + 1))
    if max_files > 1:
        path.replace(_older(path, 1))
    else:
        path.unlink(missing_ok=True)


def log_files(path: Path) -> list[Path]:
    """All files of the log that exist, the oldest first."""
    numbered = _numbered(path)
    current = [path] if path.exists() else []
    return [numbered[number] for number in sorted(numbered, reverse=True)] + current


def remove_log(path: Path) -> None:
    """Delete the log with its rotated files; missing ones are fine."""
    for file in log_files(path):
        file.unlink(missing_ok=True)


async def _chunks(
    path: Path, tail: int | None, alive: Callable[[], bool] | None, pulse: Ticker
) -> AsyncIterator[bytes]:
    """What the files hold, from where to begin; an empty chunk at the very end."""
    descriptor, offset = await asyncio.to_thread(_begin, path, tail)
    try:
        while True:
            lives = alive is not None and alive()
            if descriptor is None:
                descriptor = _open(path)
            if descriptor is not None:
                while data := await _read_at(descriptor, offset):
                    offset += len(data)
                    yield data
                if (newer := _newer(path, descriptor)) is not None:
                    while data := await _read_at(descriptor, offset):
                        offset += len(data)
                        yield data
                    os.close(descriptor)
                    descriptor, offset = newer, 0
                    continue
            if not lives:
                break
            await pulse.beat()
        yield b""
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _read_at(descriptor: int, offset: int) -> bytes:
    """Off the event loop when there is something to read: that may wait for a disk."""
    if os.fstat(descriptor).st_size <= offset:
        return b""
    return await asyncio.to_thread(os.pread, descriptor, _CHUNK_BYTES, offset)


def _newer(path: Path, descriptor: int) -> int | None:
    """Open the file that follows the one we read; None when ours is the newest.

    One that was rotated away under us is followed by the oldest that is left.
    """
    files = log_files(path)
    ours = os.fstat(descriptor).st_ino
    inodes = [_inode(file) for file in files]
    following = files[inodes.index(ours) + 1 :] if ours in inodes else files
    return next((opened for file in following if (opened := _open(file)) is not None), None)


def _begin(path: Path, tail: int | None) -> tuple[int | None, int]:
    """Where to start: a descriptor (None when there is no file) and an offset in it."""
    begin: tuple[int | None, int] = (None, 0)
    wanted = tail
    for file in reversed(log_files(path)):
        descriptor = _open(file)
        if descriptor is None:
            continue
        if begin[0] is not None:
            os.close(begin[0])
        begin = descriptor, 0
        if wanted is not None:
            offset, found = last_lines(descriptor, os.fstat(descriptor).st_size, wanted)
            begin = descriptor, offset
            wanted -= found
            if wanted == 0:
                break
    return begin


def last_lines(descriptor: int, size: int, wanted: int) -> tuple[int, int]:
    """Where the last `wanted` lines of a file begin, and how many of them it has.

    Reads backwards, only as far as needed. A line ends with a record tagged F, so it begins behind
    the F of the line before it.
    """
    found = 0
    for offset, record in _records_backwards(descriptor, size):
        parsed = parse_record(record)
        if parsed is not None and not parsed.partial:
            if found == wanted:
                return offset + len(record) + 1, found
            found += 1
    return 0, found


def _records_backwards(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Each record with its offset, the last first; an empty one behind the last newline."""
    position, cut = size, b""
    while position > 0:
        start = max(position - _CHUNK_BYTES, 0)
        block = os.pread(descriptor, position - start, start) + cut
        records = block.split(b"\n")
        if start > 0:
            cut = records.pop(0)
        end = start + len(block)
        for record in reversed(records):
            yield end - len(record), record
            end -= len(record) + 1
        position = start


def _numbered(path: Path) -> dict[int, Path]:
    """None when the folder is gone, with its container."""
    found = {}
    prefix = f"{path.name}."
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            suffix = entry.name.removeprefix(prefix)
            if entry.name.startswith(prefix) and suffix.isdecimal():
                found[int(suffix)] = path.with_name(entry.name)
    return found


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _settle(beat: asyncio.Future[None]) -> None:
    if not beat.done():
        beat.set_result(None)
