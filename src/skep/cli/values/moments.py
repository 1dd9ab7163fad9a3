"""`--since` and `--until`: a time, Unix seconds, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from skep.kit.clock import parse_duration_ns

_SECONDS = re.compile(r"\d+(?:\.\d+)?")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?")


def parse_moment(text: str, now: datetime) -> str | None:
    """Unix seconds as the API takes them; None for an empty text.

    A time without a zone is local time, as docker reads it.
    """
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return text
    try:
        return _stamp(now - timedelta(microseconds=parse_duration_ns(text) / 1000))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(_completed(text))
    except ValueError:
        raise ValueError(
            f'invalid value "{text}": write a time such as 2026-11-22T10:00:00Z, '
            "Unix seconds, or how long ago, such as 42m"
        ) from None
    return _stamp(moment if moment.tzinfo else moment.astimezone())


def _completed(text: str) -> str:
    """`2026-11-22T10` has no minutes, which fromisoformat wants."""
    return f"{text}:00" if _LOCAL.fullmatch(text) and len(text) == 13 else text


def _stamp(moment: datetime) -> str:
    seconds = int(moment.timestamp())
    return f"{seconds}.{moment.microsecond * 1000:09d}"
