"""`skep events`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from skep.cli.client.client import filters_query, json_stream
from skep.cli.commands.moment_flags import WHEN, moment
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, filters, text
from skep.cli.session import Session
from skep.cli.show.details import compile_details, render_details
from skep.cli.show.lists import inspect_format

_NS = 10**9


def event_line(event: dict[str, Any]) -> str:
    """`2026-11-22T10:00:00.000000000Z container start 1a2b… (image=web, name=web.1)`."""
    actor = event.get("Actor") or {}
    parts = [_time(event), event.get("Type", ""), event.get("Action", ""), actor.get("ID", "")]
    attributes = actor.get("Attributes") or {}
    if attributes:
        shown = ", ".join(f"{key}={value}" for key, value in sorted(attributes.items()))
        parts.append(f"({shown})")
    return " ".join(parts)


def _time(event: dict[str, Any]) -> str:
    time_ns = event.get("timeNano") or event.get("time", 0) * _NS
    seconds, rest = divmod(time_ns, _NS)
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    zone = local.strftime("%z")
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{local:%Y-%m-%dT%H:%M:%S}.{rest:09d}{offset}"


def _events(session: Session, options: Options, _: list[str]) -> None:
    template = compile_details(options.text("format"))
    query = {
        "since": moment(session, options, "since"),
        "until": moment(session, options, "until"),
        "filters": filters_query(options.items("filter")),
    }
    for event in json_stream(session.client.stream("GET", "/events", query)):
        line = render_details([event], template) if template else event_line(event) + "\n"
        session.write_now(line)


EVENTS = Command(
    "",
    _events,
    NONE,
    (
        filters(),
        inspect_format()._replace(short=""),
        text("--since", f"Show all events created since timestamp {WHEN}"),
        text("--until", f"Stream events until this timestamp {WHEN}"),
    ),
)
