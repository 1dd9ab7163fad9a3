"""Sizes, times and ids in docker's words."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_MINUTE, _HOUR = 60, 3600
_DAY_H, _WEEK_H, _MONTH_H, _YEAR_H = 24, 24 * 7, 24 * 30, 24 * 365
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_NS_PARTS = ((3600 * 10**9, "h"), (60 * 10**9, "m"))
_SHORT_ID = 12


def human_duration(seconds: float) -> str:
    """`3 minutes`, `About an hour`: coarse on purpose, as docker says it."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = whole // _MINUTE
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, unit, word in (
        (48, 1, "hours"),
        (_WEEK_H * 2, _DAY_H, "days"),
        (_MONTH_H * 2, _WEEK_H, "weeks"),
        (_YEAR_H * 2, _MONTH_H, "months"),
    ):
        if hours < limit:
            return f"{hours // unit} {word}"
    return f"{int(seconds / _HOUR) // _YEAR_H} years"


def human_size(size: float, digits: int = 4) -> str:
    """`1.98MB`: powers of 1000."""
    return _scaled(size, 1000.0, _DECIMAL, digits)


def binary_size(size: float) -> str:
    """`3.5MiB`: powers of 1024."""
    return _scaled(size, 1024.0, _BINARY, 4)


def _scaled(size: float, base: float, units: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    return f"{size:.{digits}g}{units[step]}"


def go_duration(duration_ns: int) -> str:
    """Go's notation: `1m30s`, `500ms`, `0s`."""
    if duration_ns == 0:
        return "0s"
    sign, rest = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest < 10**9:
        unit, word = next(u for u in ((10**6, "ms"), (10**3, "µs"), (1, "ns")) if rest >= u[0])
        return f"{sign}{_trimmed(rest / unit)}{word}"
    text = ""
    for unit, word in _NS_PARTS:
        if rest >= unit or text:
            text += f"{rest // unit}{word}"
            rest %= unit
    return f"{sign}{text}{_trimmed(rest / 10**9)}s"


def _trimmed(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def parse_time(text: str) -> datetime:
    """An RFC 3339 time of the API; digits below the microsecond are dropped."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return datetime(1, 1, 1, tzinfo=UTC)
    base, fraction, zone = match.groups()
    microseconds = f"{fraction or '0':0<6}"[:6]
    return datetime.fromisoformat(f"{base}.{microseconds}{zone.replace('Z', '+00:00')}")


def seconds_since(text: str, now: datetime) -> float:
    return (now - parse_time(text)).total_seconds()


def go_time(text: str) -> str:
    """An API time as Go prints it: `2026-11-22 19:44:36.27904367 +0000 UTC`."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return text
    base, fraction, zone = match.groups()
    digits = (fraction or "").rstrip("0")
    shown = f"{base.replace('T', ' ')}{'.' + digits if digits else ''}"
    return f"{shown} +0000 UTC" if zone == "Z" else f"{shown} {zone.replace(':', '')}"


def go_unix_time(seconds: int) -> str:
    """Unix seconds as Go prints a local time: `2026-11-22 20:44:36 +0100 CET`."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z")


def short_id(full: str) -> str:
    """An id's first 12 characters, its algorithm left out."""
    return full.rpartition(":")[2][:_SHORT_ID] if ":" in full else full[:_SHORT_ID]


def ellipsis(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, the last one a … where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """A sort key by which web_2 stands before web_10."""
    parts = re.split(r"(\d+)", text)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts if part]
