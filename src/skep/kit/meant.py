"""Who is meant by what a person writes: an id, else a name, else the start of an id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def meant(reference: str, *ways: Callable[[str], Iterable[T]]) -> list[T]:
    """What the first way finds that finds anything: one, several (then it is ambiguous), or none.
    Nothing written means nobody."""
    for way in ways if reference else ():
        if found := list(way(reference)):
            return found
    return []
