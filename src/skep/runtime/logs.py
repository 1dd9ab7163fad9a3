"""What a container wrote, as conmon keeps it: k8s-file records, and the lines that they make up.

    2026-11-22T10:00:00.123456789+00:00 stdout F a whole line, or the last piece of one
    2026-11-22T10:00:00.123456789+00:00 stdout P a piece of a line, more follows

Source: conmon's src/ctr_logging.c; the pieces are as long as conmon's buffer, 8 KiB.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterator
from functools import lru_cache

from skep.runtime.bundle import Value

MAX_LINE_BYTES = 16 * 1024
"""Longer lines come in pieces of this size, as in docker."""


class LogLine(Value, frozen=True):
    """One line, without its newline, or a piece of one (`partial`: it has no newline).

    `time_ns` is nanoseconds since the epoch, when the line began; `stream` is "stdout" or "stderr".
    """

    time_ns: int
    stream: str
    text: bytes
    partial: bool = False


class LogParser:
    """Bytes of a log file in, lines out. Keeps at most a record and a line per stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[str, LogLine] = {}

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that `data` completes. A record that is not in the format is left out."""
        *records, self._rest = (self._rest + data).split(b"\n")
        lines: list[LogLine] = []
        for record in records:
            parsed = parse_record(record)
            if parsed is not None:
                lines += self._join(parsed)
        return lines

    def flush(self) -> list[LogLine]:
        """At the end of the log: the lines that never got their newline."""
        left = [line for line in self._open.values() if line.text]
        self._open.clear()
        return sorted(left, key=lambda line: line.time_ns)

    def _join(self, piece: LogLine) -> Iterator[LogLine]:
        begun = self._open.pop(piece.stream, None)
        if begun is None and len(piece.text) <= MAX_LINE_BYTES and not piece.partial:
            yield piece
            return
        time_ns = piece.time_ns if begun is None else begun.time_ns
        text = piece.text if begun is None else begun.text + piece.text
        while len(text) > MAX_LINE_BYTES or (piece.partial and len(text) == MAX_LINE_BYTES):
            head, text = text[:MAX_LINE_BYTES], text[MAX_LINE_BYTES:]
            yield LogLine(time_ns=time_ns, stream=piece.stream, text=head, partial=True)
        line = LogLine(time_ns=time_ns, stream=piece.stream, text=text, partial=piece.partial)
        if piece.partial:
            self._open[piece.stream] = line
        else:
            yield line


def parse_record(record: bytes) -> LogLine | None:
    """One record without its newline; None when it is not one (a file cut by a full disk)."""
    fields = record.split(b" ", 3)
    if len(fields) != 4 or fields[2] not in _TAGS or len(fields[0]) < 30:
        return None
    moment = fields[0]
    try:
        time_ns = _epoch_s(moment[:19], moment[29:]) * 1_000_000_000 + int(moment[20:29])
    except ValueError:
        return None
    return LogLine(
        time_ns=time_ns,
        stream="stderr" if fields[1] == b"stderr" else "stdout",
        text=fields[3],
        partial=fields[2] == b"P",
    )


_TAGS = {b"F", b"P"}


@lru_cache(maxsize=64)
def _epoch_s(second: bytes, offset: bytes) -> int:
    """`2026-11-22T10:00:00` at `+01:00` (or `Z`): neighbours in a log share their second."""
    text = second.decode("ascii")
    date, _, clock = text.partition("T")
    year, month, day = date.split("-")
    hour, minute, seconds = clock.split(":")
    local = timegm((int(year), int(month), int(day), int(hour), int(minute), int(seconds)))
    if offset in {b"Z", b""}:
        return local
    hours, minutes = offset[1:].split(b":")
    east = int(hours) * 3600 + int(minutes) * 60
    return local + east if offset[:1] == b"-" else local - east
