"""Counting in a dict."""

from __future__ import annotations

from typing import TypeVar

_K = TypeVar("_K")


def add(table: dict[_K, int], key: _K, change: int) -> None:
    """Count; zeros are not kept, so that equal counts are equal tables."""
    number = table.get(key, 0) + change
    if number:
        table[key] = number
    else:
        table.pop(key, None)
