"""How control writes what states no version, and what a stated version means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skep.kit.errors import OutOfSequence
from skep.model.base import Object
from skep.store.change import Change, View
from skep.store.store import Store

_TRIES = 10


async def commit_latest(store: Store, changes: Callable[[View], Sequence[Change]]) -> int:
    """Commit what `changes` makes of the view of now; once more when somebody wrote in between.

    For wishes that state no version, such as a removal: only those who read may be told that what
    they read is old.
    """
    for _ in range(_TRIES):
        try:
            return await store.commit(changes(store.view))
        except OutOfSequence:
            continue
    raise OutOfSequence


def check_version(stored: Object, version: int) -> None:
    """Refuse a writer who read an older version than the one stored."""
    if stored.version.index != version:
        raise OutOfSequence
