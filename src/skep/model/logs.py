"""What one asks of the logs of services and tasks, and what one gets: values, no transport."""

from __future__ import annotations

import msgspec

from skep.model.bounds import Int64


class LogSelector(msgspec.Struct, frozen=True):
    """Whose logs: the tasks of services, or single tasks. Ids, not names."""

    service_ids: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()


class LogOptions(msgspec.Struct, frozen=True):
    """Which lines. `tail` counts for each task, None = all; times in ns since 1970, None = open."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: Int64 | None = None
    until_ns: Int64 | None = None
    tail: Int64 | None = None


class ServiceLogLine(msgspec.Struct, frozen=True):
    """One whole line that a task wrote, without its newline.

    `stream` is 1 for stdout, 2 for stderr. `attributes` are the container's log attributes.
    """

    time_ns: Int64
    stream: Int64
    text: bytes
    node_id: str
    service_id: str
    task_id: str
    attributes: dict[str, str] = {}
