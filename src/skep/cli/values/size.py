"""Bytes and CPUs."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_SIZE = re.compile(r"(-?\d+(?:\.\d+)?) ?([a-zA-Z]*)")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_NANO = Decimal(1_000_000_000)
UNLIMITED = -1


def parse_bytes(text: str) -> int:
    """`64m`, `1.5GiB`, `512`: units are powers of 1024, as docker's memory flags take them."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"invalid size: '{text}': write a number and a unit, such as 512m or 2g")
    number, unit = match.groups()
    lower = unit.lower()
    power = _POWERS.get("" if lower == "b" else lower[:1])
    if power is None or lower[1:] not in {"", "b", "ib"}:
        raise ValueError(f"invalid suffix: '{unit}': use b, k, m, g, t or p, as in 512m")
    if number.startswith("-"):
        raise ValueError(f"invalid size: '{text}': must not be negative")
    return int(Decimal(number) * 1024**power)


def parse_swap(text: str) -> int:
    """A size, or -1 for no limit."""
    return UNLIMITED if text.strip() == "-1" else parse_bytes(text)


def parse_nano_cpus(text: str) -> int:
    """`1.5` CPUs in billionths of one."""
    try:
        nano = Decimal(text) * _NANO
    except InvalidOperation:
        nano = Decimal("NaN")
    if not nano.is_finite():
        raise ValueError(f"failed to parse {text} as a number of CPUs: write a number, such as 1.5")
    if nano != int(nano):
        raise ValueError("value is too precise")
    return int(nano)
