"""The door to where the store is kept: a log of commits that survives us.

One writes, any number follow. SQLite stands behind it for one manager (`sqlite.py`); etcd will for
several. What passes both ways is values, whose bodies only `form.py` reads. `tests/store/
test_log.py` is the suite that every log passes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from skep.kit.errors import SkepError, Unavailable
from skep.store.kinds import Stored


class Snapshot(msgspec.Struct, frozen=True):
    """Everything as of one revision."""

    revision: int
    objects: list[Stored]


class Entry(NamedTuple):
    """One commit, encoded (`form.py`)."""

    revision: int
    body: bytes


class Fenced(Unavailable):
    """Another writer took the log over, or holds something else for the newest: this one must write
    no more."""


class Unknown(Unavailable):
    """The answer to an append was lost: it may be durable, or not. Only reading anew can tell."""


class Compacted(SkepError):
    """The commits after a revision are not kept any more: load, and follow from there."""


class Log(Protocol):
    async def lead(self) -> int:
        """Become the writer, and keep everybody else from it; returns the epoch, to be stated with
        each append. What an older writer had in hand is stored before this returns, or never.
        Raises Unavailable, as all of these, with the place's name when it cannot be used."""
        ...

    async def load(self) -> Snapshot:
        """Read everything that was ever answered as done."""
        ...

    async def append(self, epoch: int, entries: Sequence[Entry]) -> None:
        """Make the entries durable, all or none, before returning. Their revisions follow upon the
        newest one without a gap.

        Raises Fenced when another leads, Unknown when nobody can say whether they were stored, and
        Unavailable when surely none was.
        """
        ...

    def follow(self, revision: int) -> AsyncIterator[Sequence[Entry]]:
        """All entries after `revision`, in order, without end, a few at a time, each once it is
        durable. Raises Compacted when they are not kept any more."""
        ...

    async def close(self) -> None:
        """Let go of the file or connection. Idempotent."""
        ...


def check_order(newest: int, entries: Sequence[Entry]) -> None:
    """Raises Fenced unless the entries follow upon the newest revision that a log has."""
    for number, entry in enumerate(entries, newest + 1):
        if entry.revision != number:
            raise Fenced(f"commit {entry.revision} does not follow upon {number - 1}")
