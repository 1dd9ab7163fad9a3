"""Lines of a log as the bytes of a call: each a frame, as messages are on the line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

import msgspec

from skep.kit.errors import UNDECODABLE, SkepError
from skep.protocol.calls import Stream
from skep.protocol.messages import LogFrame
from skep.protocol.wire import FrameReader, framed

_LONGEST = 1_100_000
"""Bytes of one frame: a line has at most a mebibyte (`LogFrame`)."""
_FRAME = msgspec.msgpack.Decoder(LogFrame)


def packed(frames: Iterable[LogFrame]) -> bytes:
    return b"".join(framed(msgspec.msgpack.encode(frame)) for frame in frames)


async def frames_of(stream: Stream) -> AsyncGenerator[LogFrame, None]:
    """To the end of the stream. Raises SkepError, also for bytes that are no frames."""
    reader = FrameReader(_LONGEST)
    while data := await stream.receive():
        for frame in reader.feed(data):
            yield _read(frame)


def _read(frame: bytes) -> LogFrame:
    try:
        return _FRAME.decode(frame)
    except UNDECODABLE as error:
        raise SkepError(f"a line of a log cannot be read: {error}") from None
