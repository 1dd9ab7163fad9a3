"""Time as the Engine API writes it: UTC, RFC 3339, durations in nanoseconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from skep.kit.numbers import INT64_MAX, INT64_MIN, parse_int

NS_PER_S = 1_000_000_000
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time, which the Engine API shows for "never"."""

_CORRECTION = 0.1

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_DURATION = re.compile(r"([+-])?((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNIX = re.compile(r"(-?\d+)(?:\.(\d*))?", re.ASCII)


def utc_now() -> datetime:
    """The one place that reads the wall clock for objects; planners get it as an argument."""
    return datetime.now(UTC)


def elapsed_s() -> float:
    """Seconds since the machine's start, its sleep included: no clock that is set changes them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Wall time that neither jumps nor goes back, for what waits and what is compared.

    It begins with the wall clock, or where `not_before` says, and from then on goes with the time
    that passes, at most a tenth faster or slower, as long as the wall clock is elsewhere: no wait
    is off by more than that tenth, whatever the clock is set to meanwhile.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_s,
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._looked_at_s = elapsed()
        self._now = wall()

    def __call__(self) -> datetime:
        passed = timedelta(seconds=self._elapsed() - self._looked_at_s)
        self._looked_at_s += passed.total_seconds()
        self._now += passed
        off = self._wall() - self._now
        self._now += min(max(off, -passed * _CORRECTION), passed * _CORRECTION)
        return self._now

    def not_before(self, moment: datetime) -> None:
        """Be at `moment` or later: what is stamped from now on is younger than what has it."""
        self._now = max(self._now, moment)


def after_ns(start: datetime, duration_ns: int) -> datetime:
    """`start` plus a duration in nanoseconds (kept to the microsecond)."""
    return start + timedelta(microseconds=duration_ns / 1000)


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T10:00:00.123456Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_duration_ns(text: str) -> int:
    """Go's duration notation (`1m30s`, `1.5h`, `300ms`, `0`) in nanoseconds, of 64 bits.

    Raises ValueError with a sentence for people when `text` is not a duration.
    """
    if text in {"0", "+0", "-0"}:
        return 0
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f'invalid duration "{text}": write a number and a unit, such as 10s or 1m30s'
        )
    total = sum(float(n) * _UNITS_NS[unit] for n, unit in _DURATION_PART.findall(text))
    if total >= INT64_MAX:
        raise ValueError("invalid duration: at most 292 years can be said")
    return round(-total if text.startswith("-") else total)


def parse_moment_ns(text: str, now_ns: int) -> int:
    """`1700000000[.5]`, a date and time, or how long before now (`10m`), as ns since 1970.

    What 64 bits do not hold is the nearest that they do (the years 1677 and 2262). Raises
    ValueError.
    """
    if unix := _UNIX.fullmatch(text):
        fraction = int((unix[2] or "")[:9].ljust(9, "0"))
        moment = parse_int(unix[1]) * NS_PER_S + (-fraction if text[0] == "-" else fraction)
    elif _RFC3339.fullmatch(text):
        moment = parse_rfc3339_ns(text)
    elif text[:4].isdigit() and text[4:5] == "-":
        local = datetime.fromisoformat(text)
        whole = local if local.tzinfo else local.replace(tzinfo=UTC)
        moment = int(whole.timestamp()) * NS_PER_S + whole.microsecond * 1000
    else:
        moment = now_ns - parse_duration_ns(text)
    return min(max(moment, INT64_MIN), INT64_MAX)


_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def parse_rfc3339_ns(text: str) -> int:
    """`2026-11-22T10:00:00.123456789Z` as nanoseconds since 1970. Raises ValueError."""
    parts = _RFC3339.fullmatch(text)
    if parts is None:
        raise ValueError(f'invalid time "{text}": write it as 2006-01-02T15:04:05Z')
    whole = datetime.fromisoformat(parts[1] + parts[3].replace("Z", "+00:00"))
    return int(whole.timestamp()) * NS_PER_S + int((parts[2] or "0").ljust(9, "0"))
