"""What a container wrote, as docker's logs call gives it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from skep.engine.containers.base import Base
from skep.engine.containers.container import Container
from skep.kit.clock import NS_PER_S
from skep.kit.errors import InvalidArgument, SkepError, Unimplemented
from skep.model.container import LogConfig
from skep.model.rules.logs import log_size
from skep.runtime.door import STDERR, STDOUT, Chunk
from skep.runtime.log_files import Rotation, Ticker, keep_small, read_log
from skep.runtime.logs import LogLine

_log = logging.getLogger(__name__)
_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
_CHECK_PERIOD_S = 1.0


class LogWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines. Times in ns since 1970, None = open; `tail` None is all."""

    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None
    timestamps: bool = False


class Logs:
    def __init__(self, base: Base) -> None:
        self._base = base
        self._pulse = Ticker()
        self._keeper: asyncio.Task[None] | None = None

    def read(self, container: Container, wish: LogWish) -> AsyncIterator[Chunk]:
        """Raises InvalidArgument or Unimplemented at once; the lines come as they are read."""
        if not (wish.stdout or wish.stderr):
            raise InvalidArgument("Bad parameters: you must choose at least one stream")
        if container.record.host_config.log_config.type == "none":
            raise Unimplemented("configured logging driver does not support reading")
        return self._lines(container, wish)

    async def _lines(self, container: Container, wish: LogWish) -> AsyncIterator[Chunk]:
        wanted = {"stdout": wish.stdout, "stderr": wish.stderr}
        last_s = _moment_s(wish.until_ns)
        batches = read_log(
            self._base.places.log(container.id),
            since_ns=wish.since_ns or 0,
            until_ns=wish.until_ns,
            tail=wish.tail,
            alive=(lambda: _goes_on(container, last_s)) if wish.follow else None,
            pulse=self._pulse,
        )
        async for batch in batches:
            for line in batch:
                if wanted[line.stream]:
                    yield Chunk(
                        stream=_STREAMS[line.stream],
                        data=as_text(line, timestamps=wish.timestamps),
                    )

    # Rotation

    def open(self) -> None:
        self._keeper = asyncio.create_task(self._keep_small(), name="log-rotation")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    async def _keep_small(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_PERIOD_S)
            for container in self._base.registry:
                rotation = rotation_of(container.record.host_config.log_config)
                if not container.running or rotation is None:
                    continue
                try:
                    await keep_small(
                        self._base.runtime,
                        container.id,
                        self._base.places.log(container.id),
                        rotation,
                    )
                except (SkepError, OSError) as error:
                    _log.warning("container %s: log rotation: %s", container.id[:12], error)
                except Exception:
                    _log.exception("container %s: log rotation", container.id[:12])


def _moment_s(until_ns: int | None) -> float:
    """A moment of the wall clock on the one that nobody sets."""
    if until_ns is None:
        return math.inf
    return time.monotonic() + (until_ns - time.time_ns()) / NS_PER_S


def _goes_on(container: Container, last_s: float) -> bool:
    if time.monotonic() > last_s:
        return False
    return container.running or container.restarting


def as_text(line: LogLine, *, timestamps: bool) -> bytes:
    """The line as it is sent: time stamp (nine digits, UTC), text, newline unless it had none."""
    end = b"" if line.partial else b"\n"
    if not timestamps:
        return line.text + end
    seconds, fraction = divmod(line.time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{fraction:09d}Z ".encode() + line.text + end


def rotation_of(config: LogConfig) -> Rotation | None:
    """When a container's log begins a new file; None = never."""
    size = log_size(config.type, config.config)
    return size and Rotation(max_size_bytes=size.max_size_bytes, max_files=size.max_files)
