"""The door to where the store is kept: a log of commits that survives us.

SQLite stands behind it for one manager (`sqlite.py`); etcd will for several. What passes both ways
is values: a revision and the changed objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from skep.store.change import Commit, Stored


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that was ever answered as done."""

    revision: int
    objects: list[Stored]


class Log(Protocol):
    async def load(self) -> Snapshot:
        """Open and read everything. Raises Unavailable with the file's name when it cannot."""
        ...

    async def append(self, commits: Sequence[Commit]) -> None:
        """Make the commits durable, all or none, before returning. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Let go of the file or connection. Idempotent."""
        ...
