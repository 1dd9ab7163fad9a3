"""Numbers that come as text: from query strings, files of containers, flags."""

from __future__ import annotations

import re

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
"""No longer than any number of 64 bits: Python's `int` takes a second for a million digits."""


def shortened(text: str) -> str:
    """For sentences that say what was wrong."""
    return text if len(text) <= 40 else f"{text[:40]}…"


def parse_int(text: str, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """A whole number in ASCII digits, perhaps signed. Raises ValueError with docker's words when
    it is none, or is not in `low` to `high`."""
    if not _WHOLE.fullmatch(text):
        reason = "value out of range" if text.isascii() and text.isdigit() else "invalid syntax"
        raise ValueError(f'parsing "{shortened(text)}": {reason}')
    number = int(text)
    if not low <= number <= high:
        raise ValueError(f'parsing "{text}": value out of range')
    return number
