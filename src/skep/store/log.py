"""The door to where the store is kept: a log of commits that survives us.

SQLite stands behind it for one manager (`sqlite.py`); etcd will for several. What passes both ways
is values: a revision and the changed objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from skep.store.change import Stored


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that was ever answered as done."""

    revision: int
    objects: list[Stored]


class Record(NamedTuple):
    """The newest of one object, encoded (`form.py`); None when it is gone."""

    kind: str
    id: str
    body: bytes | None


class Log(Protocol):
    async def load(self) -> Snapshot:
        """Open and read everything. Raises Unavailable with the file's name when it cannot."""
        ...

    async def append(self, revision: int, records: Sequence[Record]) -> None:
        """Make the records durable as of `revision`, all or none, before returning; at most one for
        each object. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Let go of the file or connection. Idempotent."""
        ...
