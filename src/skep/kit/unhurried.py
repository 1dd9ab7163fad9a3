"""Long work on the event loop, a slice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

T = TypeVar("T")


async def unhurried(items: Sequence[T], at_once: int) -> AsyncIterator[Sequence[T]]:
    """All items, so many at a time; in between others have their turn."""
    for start in range(0, len(items), at_once):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + at_once]
