"""What the text after a flag may be: a kind reads one text into one value or says what is wrong.

A reader raises ValueError with the reason alone; the parser adds which flag and which text it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Reader = Callable[[str], Any]

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Kind(NamedTuple):
    """`word` is what help shows after the flag's name; `many` collects every use in a list."""

    word: str
    read: Reader
    many: bool = False
    switch: bool = False


def read_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("neither true nor false")


def read_int(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("not a whole number") from None


def read_uint(text: str) -> int:
    number = read_int(text)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def read_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("not a number") from None


def read_duration(text: str) -> int:
    """Go's duration notation in nanoseconds."""
    from skep.kit.clock import parse_duration_ns

    return parse_duration_ns(text)


def read_positive_duration(text: str) -> int:
    duration_ns = read_duration(text)
    if duration_ns < 0:
        raise ValueError("duration cannot be negative")
    return duration_ns


def read_size(text: str) -> int:
    from skep.cli.values.size import parse_bytes

    return parse_bytes(text)


def read_cpus(text: str) -> int:
    from skep.cli.values.size import parse_nano_cpus

    return parse_nano_cpus(text)


def read_filter(text: str) -> tuple[str, str]:
    """`name=value` as a pair; the name in lower case, both stripped."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


SWITCH = Kind("", read_bool, switch=True)
TEXT = Kind("string", str)
INT = Kind("int", read_int)
UINT = Kind("uint", read_uint)
FLOAT = Kind("float", read_float)
DURATION = Kind("duration", read_duration)
POSITIVE_DURATION = Kind("duration", read_positive_duration)
SIZE = Kind("bytes", read_size)
CPUS = Kind("decimal", read_cpus)
TEXTS = Kind("list", str, many=True)
FILTERS = Kind("filter", read_filter, many=True)
