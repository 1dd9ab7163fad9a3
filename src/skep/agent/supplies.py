"""What the node's tasks need beside themselves, as a manager last said it.

Not known is not empty: after our own restart nobody has said yet what may not lie on a disk, and
whoever needs it waits until somebody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from skep.protocol.messages import Reference


class Supplies:
    """Things by kind and id."""

    def __init__(self) -> None:
        self._things: dict[Reference, Any] = {}
        self._news = asyncio.Event()

    def references(self) -> Set[Reference]:
        return self._things.keys()

    def of_kind(self, kind: str) -> list[Any]:
        return [thing for reference, thing in self._things.items() if reference.kind == kind]

    def get(self, kind: str, thing_id: str) -> Any | None:
        return self._things.get(Reference(kind, thing_id))

    def change(self, things: Mapping[Reference, Any], removed: Iterable[Reference] = ()) -> None:
        self._things.update(things)
        for reference in removed:
            self._things.pop(reference, None)

    def told(self) -> None:
        """Whoever waits may look again: things changed, or what is needed."""
        self._news.set()
        self._news = asyncio.Event()

    async def until_there(self, needs: Callable[[], Iterable[Reference]]) -> None:
        """Return when all is known that `needs`, which is asked anew with all news, names."""
        while not all(need in self._things for need in needs()):
            await self._news.wait()
