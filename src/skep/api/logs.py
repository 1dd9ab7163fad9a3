"""Logs of services and tasks in docker's line format. (A container's own are the engine's.)"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import quote_plus

from skep.api.query import parse_tail
from skep.api.request import Request
from skep.api.streams import frames
from skep.http.web import StreamResponse
from skep.kit.clock import NS_PER_S
from skep.kit.errors import InvalidArgument
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine

_SWARM = "com.docker.swarm."


async def answer_logs(request: Request, selector: LogSelector, *, terminal: bool) -> StreamResponse:
    """Stream the lines of the selected tasks, each in a frame of its own."""
    options = log_options(request)
    lines = request.node.service_logs(selector, options)
    details, timestamps = request.flag("details"), request.flag("timestamps")
    return await frames(request, _shown(lines, details, timestamps), terminal)


def log_options(request: Request) -> LogOptions:
    """Raises InvalidArgument when neither stdout nor stderr is asked for."""
    options = LogOptions(
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        follow=request.flag("follow"),
        since_ns=request.time_ns("since"),
        until_ns=request.time_ns("until"),
        tail=parse_tail(request.text("tail")),
    )
    if not (options.stdout or options.stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    return options


async def _shown(
    lines: AsyncGenerator[ServiceLogLine, None], details: bool, timestamps: bool
) -> AsyncIterator[tuple[int, bytes]]:
    async with aclosing(lines):
        async for line in lines:
            yield line.stream, format_line(line, details=details, timestamps=timestamps)


def format_line(line: ServiceLogLine, *, details: bool, timestamps: bool) -> bytes:
    """`[time ][k=v,… ]text`, with a newline. Docker's client needs the three swarm attributes."""
    parts = [line.text + b"\n"]
    if details:
        parts.insert(0, _details(line).encode())
    if timestamps:
        parts.insert(0, timestamp(line.time_ns).encode())
    return b" ".join(parts)


def _details(line: ServiceLogLine) -> str:
    attributes = line.attributes | {
        _SWARM + "node.id": line.node_id,
        _SWARM + "service.id": line.service_id,
        _SWARM + "task.id": line.task_id,
    }
    pairs = sorted(attributes.items())
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


def timestamp(time_ns: int) -> str:
    """RFC 3339 with nine digits after the second, so that columns align."""
    seconds, fraction = divmod(time_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
