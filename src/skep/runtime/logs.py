"""What a container wrote, as conmon keeps it: one file of k8s-file lines, rotated by us.

    2026-11-22T10:00:00.123456789+00:00 stdout F a whole line
    2026-11-22T10:00:00.123456789+00:00 stdout P a piece of a line

Rotated files stand beside it: `<name>.1` is the one before, `.2` older.
"""

from __future__ import annotations

from skep.runtime.bundle import Value


class LogLine(Value, frozen=True):
    """One line, without its newline, or a piece of one (`partial`: more of it follows).

    `time_ns` is nanoseconds since the epoch, UTC; `stream` is "stdout" or "stderr".
    """

    time_ns: int
    stream: str
    text: bytes
    partial: bool = False
