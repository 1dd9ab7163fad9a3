"""A client's line to a container or an exec, also to one that does not run yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from skep.kit.errors import InvalidArgument
from skep.runtime.door import STDERR, STDOUT, Chunk, Stream

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class PendingLine:
    """The container's side: `connect` when it is about to start, `give_up` when it never will.

    It stands among `others` until it is closed.
    """

    def __init__(self, others: list[PendingLine] | None = None) -> None:
        self._others = others
        if others is not None:
            others.append(self)
        self._stream: asyncio.Future[Stream | None] = asyncio.get_running_loop().create_future()
        self._half_closed = False

    def connect(self, stream: Stream) -> bool:
        """False when the client hung up meanwhile: the stream is not wanted."""
        if not self.waits:
            return False
        self._stream.set_result(stream)
        if self._half_closed:
            stream.close_stdin()
        return True

    def give_up(self) -> None:
        if self.waits:
            self._stream.set_result(None)

    def close(self) -> None:
        """The client hung up."""
        if (stream := self.now) is not None:
            stream.close()
        self.give_up()
        if self._others is not None and self in self._others:
            self._others.remove(self)

    def half_close(self) -> None:
        """No more input, now or as soon as there is somebody to tell."""
        self._half_closed = True
        if (stream := self.now) is not None:
            stream.close_stdin()

    async def stream(self) -> Stream | None:
        """None when there is nothing to read from: it never started, or we hung up."""
        return await asyncio.shield(self._stream)

    @property
    def waits(self) -> bool:
        return not self._stream.done()

    @property
    def now(self) -> Stream | None:
        return self._stream.result() if self._stream.done() else None


class AttachedLine:
    """The client's side. `past` is read before the stream; unwanted outputs are left out. With
    `end`, the last read waits for it: who saw the end may ask for the exit code."""

    def __init__(
        self,
        line: PendingLine,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        past: AsyncIterator[Chunk] | None = None,
        detach_keys: bytes = b"",
        end: asyncio.Task[None] | None = None,
    ) -> None:
        self._line = line
        self._takes_stdin = stdin
        self._wanted = {STDOUT: stdout, STDERR: stderr}
        self._past = past
        self._end = end
        self._keys = DetachKeys(detach_keys)

    async def read(self) -> Chunk | None:
        """The next output; None at the end."""
        while (chunk := await self._next()) is not None:
            if self._wanted.get(chunk.stream):
                return chunk
        if self._end is not None and self._line.now is not None:
            await asyncio.wait({self._end})
        self.close()
        return None

    async def _next(self) -> Chunk | None:
        if self._past is not None:
            async for chunk in self._past:
                return chunk
            self._past = None
        stream = await self._line.stream()
        return None if stream is None else await stream.read()

    async def write(self, data: bytes) -> None:
        """To stdin; dropped when nobody reads it. The detach keys hang up."""
        if not self._takes_stdin:
            return
        stream = await self._line.stream()
        passed, detached = self._keys.feed(data)
        if stream is not None and passed:
            try:
                await stream.write(passed)
            except BrokenPipeError:
                pass
        if detached:
            self.close()

    def close_stdin(self) -> None:
        """The client has no more input; before the start, that is remembered."""
        if self._takes_stdin:
            self._line.half_close()

    def close(self) -> None:
        """Hang up; the process is not touched."""
        self._line.close()


class DetachKeys:
    """Finds a key sequence in a client's input, across pieces. Pure."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on to the process, and whether the sequence was completed."""
        if not self._keys:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._seen]
            self._seen = 0
            if byte == self._keys[0]:
                self._seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b`; nothing is docker's default. Raises InvalidArgument."""
    keys = bytearray()
    for word in (text or DEFAULT_DETACH_KEYS).split(","):
        letter = word.removeprefix("ctrl-")
        if len(letter) != 1 or not letter.isascii():
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
        if letter == word:
            keys.append(ord(letter))
        elif letter in _CONTROL:
            keys.append(_CONTROL[letter])
        elif letter.isalpha():
            keys.append(ord(letter.lower()) - ord("a") + 1)
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(keys)
