"""The daemon's frames: `[stream, 0, 0, 0, length (4 bytes, big end first)]`, then the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)
_HEAD = 8


class Frames:
    """Takes pieces of any size; gives whole payloads or, with `whole=False`, what has come."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._buffer = bytearray()
        self._stream = STDOUT
        self._left = 0

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """`(stream, bytes)` in order; raises ValueError for what cannot be a frame."""
        self._buffer += piece
        while self._buffer:
            if not self._left:
                if len(self._buffer) < _HEAD:
                    return
                self._begin()
                continue
            if self._whole and len(self._buffer) < self._left:
                return
            payload = bytes(self._buffer[: self._left])
            del self._buffer[: len(payload)]
            self._left -= len(payload)
            yield self._stream, payload

    def _begin(self) -> None:
        stream = self._buffer[0]
        if stream > SYSTEM_ERROR or any(self._buffer[1:4]):
            raise ValueError(f"unrecognized stream: {stream}")
        self._stream = stream
        self._left = int.from_bytes(self._buffer[4:_HEAD], "big")
        del self._buffer[:_HEAD]


def frames(chunks: Iterable[bytes], *, whole: bool = False) -> Iterator[tuple[int, bytes]]:
    """The frames of a body."""
    reader = Frames(whole=whole)
    for chunk in chunks:
        yield from reader.feed(chunk)
