"""The store as every room sees it: a view, commits, a watch.

Who asks need not know who writes: `Primary` (`primary.py`) writes itself, `Replica` (`replica.py`)
passes on what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from skep.store.change import Change, View
from skep.store.watch import Watch


class Store(Protocol):
    """Versioned objects: read in memory, changed by commits, watched in order."""

    @property
    def view(self) -> View: ...

    async def commit(self, changes: Sequence[Change]) -> int:
        """Make all the changes durable, or none; the revision that they got.

        Raises OutOfSequence when an object changed since it was read, Conflict when a name or id
        is taken, InvalidArgument when an object cannot be kept, Unavailable when it cannot be
        written now; `log.Unknown`, which is an Unavailable, when nobody can say whether it was.
        """
        ...

    def watch(self) -> Watch:
        """Commits from now on. The view and the watch have no gap between them."""
        ...
