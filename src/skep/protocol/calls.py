"""Calls over a line: a request, then bytes both ways, each as far as its reader gave credit.

    async with calls.call(ReadLogs(…)) as stream:       one end calls
        await stream.send(b"…")
        stream.end()                                    no more bytes of ours
        while data := await stream.receive(): …         theirs, to their end

    Calls(link.send, {ReadLogs: read_logs})             the other end answers
    async def read_logs(request, stream): …             its return, or its error, ends the call

Credit is given by who reads; the first of it comes with the call, and from the answering end when
it begins to read. A stream holds no more than its window, so a reader that is slow stops its writer
and nobody else; one chunk at a time waits for the line, so other words get their turn. Who leaves
the block early cancels what answers. A wait for bytes or for credit ends with the call, and a call
with its line at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import reduce
from itertools import count
from operator import or_
from typing import Any, TypeAlias

import msgspec

from skep.kit.errors import UNDECODABLE, SkepError, Unavailable
from skep.kit.jobs import Jobs
from skep.kit.text import plain
from skep.protocol.link import LinkClosed, MessageTooLarge
from skep.protocol.messages import CHUNK_BYTES, LONGEST_ERROR, Call, Chunk, Credit, End
from skep.protocol.wire import encoded

log = logging.getLogger(__name__)

WINDOW = 512 * 1024
MOST_CALLS = 256
_LONGEST_REQUEST = 256 * 1024
_MOST_WORDS = 4 * MOST_CALLS
_WENT_AWAY, _CANCELLED = "who called went away", "the call was cancelled"

Word: TypeAlias = Call | Chunk | Credit | End
Send: TypeAlias = Callable[[Any], Awaitable[None]]


class CallEnded(Unavailable):
    """The other end takes no more bytes of this call."""

    def __init__(self) -> None:
        super().__init__("the call has ended")


class Stream:
    """One end of a call. One reader and one writer at a time."""

    def __init__(self, call_id: int, say: Callable[[Word], None], write: Send) -> None:
        self._id = call_id
        self._say = say
        self._write = write
        self._unread = bytearray()
        self._granted = 0
        self._credit = 0
        self._news = asyncio.Event()
        self.is_complete = False
        """The other end sends no more bytes."""
        self._error: SkepError | None = None

    async def receive(self) -> bytes:
        """The bytes that are here, at least one, or none at the end. Raises the other end's error,
        after what came before it."""
        self.grant()
        while not (self._unread or self.is_complete):
            await self._wait()
        if not self._unread and self._error is not None:
            raise self._error
        data = bytes(self._unread)
        self._unread.clear()
        return data

    async def send(self, data: bytes) -> None:
        """Returns when the last of it is on the line. Raises CallEnded, or the other end's
        error."""
        start = 0
        while start < len(data):
            while not self._credit:
                self._check_open()
                await self._wait()
            self._check_open()
            size = min(len(data) - start, self._credit, CHUNK_BYTES)
            self._credit -= size
            await self._write(Chunk(self._id, data[start : start + size]))
            start += size

    def end(self, error: str = "") -> None:
        """No more bytes from this end."""
        self._say(End(self._id, error[:LONGEST_ERROR]))

    def grant(self) -> None:
        """Give credit again when half of the window was read, so that the writer need not stop."""
        size = WINDOW - self._granted - len(self._unread)
        if size >= WINDOW // 2 and not self.is_complete:
            self._granted += size
            self._say(Credit(self._id, size))

    # What the other end says

    def take(self, word: Chunk | Credit | End) -> None:
        """Raises LinkClosed for bytes that nobody asked for."""
        match word:
            case Chunk():
                self._keep(word.data)
            case Credit():
                self._credit += word.size
            case End():
                self.complete(SkepError(plain(word.error, LONGEST_ERROR)) if word.error else None)
        self._news.set()

    def _keep(self, data: bytes) -> None:
        if self.is_complete:
            return  # on its way when its writer gave up
        self._granted -= len(data)
        if self._granted < 0:
            raise LinkClosed("more bytes of a call came than were asked for")
        self._unread += data

    def complete(self, error: SkepError | None) -> None:
        """Nothing more will come. The first error stands."""
        self.is_complete = True
        self._error = self._error or error
        self._news.set()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()


Answer: TypeAlias = Callable[[Any, Stream], Awaitable[None]]


class Calls:
    """The calls of one line, at either end. Give it what the other end says (`take`); `close` it
    with the line. `answers` says what is done for each type of request."""

    def __init__(self, send: Send, answers: Mapping[type, Answer] | None = None) -> None:
        self._send = send
        self._answers = answers or {}
        self._streams: dict[int, Stream] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._ids = count(1)
        self._jobs = Jobs()
        self._words: deque[Word] = deque()
        self._saying = False
        self._a_chunk = asyncio.Lock()
        self._end: LinkClosed | None = None

    @asynccontextmanager
    async def call(self, request: msgspec.Struct) -> AsyncIterator[Stream]:
        """Raises Unavailable when too many are open or the line is gone, and Unsendable."""
        if self._end is not None:
            raise self._end
        if len(self._streams) >= MOST_CALLS or len(self._words) >= _MOST_WORDS:
            raise Unavailable(f"more than {MOST_CALLS} calls are open here")
        call = Call(next(self._ids), encoded(request))
        if len(call.request) > _LONGEST_REQUEST:
            raise MessageTooLarge(f"a request of {len(call.request)} bytes is too large")
        stream = _CallersStream(call.call_id, self._say, self._write)
        self._streams[call.call_id] = stream
        self._say(call)
        stream.grant()  # a short answer needs no reader to come
        try:
            yield stream
        finally:
            del self._streams[call.call_id]
            if not stream.is_complete:
                stream.end(_WENT_AWAY)

    def take(self, word: Word) -> None:
        """Raises LinkClosed for what has no place on the line. Waits for nothing."""
        if isinstance(word, Call):
            self._begin(word)
        elif stream := self._streams.get(word.call_id):  # else who called is gone
            stream.take(word)
            job = self._answering.get(word.call_id)
            if job is not None and isinstance(word, End) and word.error:
                job.cancel()

    async def close(self, reason: str = "the line was closed") -> None:
        """Ends all calls, with this reason where somebody waits."""
        self._end = LinkClosed(reason)
        for stream in self._streams.values():
            stream.complete(self._end)
        await self._jobs.close()

    # Answering

    def _begin(self, call: Call) -> None:
        if call.call_id in self._streams:
            raise LinkClosed(f"call {call.call_id} was made twice")
        if len(self._streams) >= MOST_CALLS:
            self._say(End(call.call_id, f"more than {MOST_CALLS} calls are open here"))
            return
        self._streams[call.call_id] = stream = Stream(call.call_id, self._say, self._write)
        job = self._jobs.start(self._answer(call, stream), f"call {call.call_id}")
        self._answering[call.call_id] = job
        job.add_done_callback(lambda _: self._forget(call.call_id))

    async def _answer(self, call: Call, stream: Stream) -> None:
        error = _CANCELLED
        try:
            request = self._request_of(call)
            await self._answers[type(request)](request, stream)
            error = ""
        except SkepError as problem:
            error = str(problem) or type(problem).__name__
        except Exception as problem:
            log.exception("a call failed: %s", ascii(call.request[:200]))
            error = f"internal error: {problem}"
        finally:
            stream.end(error)

    def _request_of(self, call: Call) -> Any:
        kinds: Any = reduce(or_, self._answers)
        try:
            return msgspec.msgpack.decode(call.request, type=kinds)
        except UNDECODABLE as error:
            raise SkepError(f"this end knows no such call: {error}") from None

    def _forget(self, call_id: int) -> None:
        del self._streams[call_id], self._answering[call_id]

    # The line

    def _say(self, word: Word) -> None:
        """Soon, and in order. A call says a few of them, a stream one for each half window."""
        self._words.append(word)
        if not self._saying:
            self._saying = True
            self._jobs.start(self._say_words(), "the words of calls")

    async def _say_words(self) -> None:
        try:
            while self._words:
                await self._send(self._words.popleft())
        except LinkClosed:
            self._words.clear()
        finally:
            self._saying = False

    async def _write(self, chunk: Chunk) -> None:
        async with self._a_chunk:
            await self._send(chunk)


class _CallersStream(Stream):
    """The end of a call that called: what the other end says last ends it for both."""

    def _check_open(self) -> None:
        super()._check_open()
        if self.is_complete:
            raise CallEnded
