"""How control writes what states no version, and what a stated version means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skep.kit.errors import OutOfSequence
from skep.model.base import Specified
from skep.store.change import Change, View
from skep.store.store import Store

_TRIES = 10


async def commit_latest(store: Store, changes: Callable[[View], Sequence[Change]]) -> int:
    """Commit what `changes` makes of the view of now; once more when somebody wrote in between.

    For wishes that stay good whatever the cluster writes: those that state no version, such as a
    removal, and those that state one which `changes` checks.
    """
    for _ in range(_TRIES):
        try:
            return await store.commit(changes(store.view))
        except OutOfSequence:
            continue
    raise OutOfSequence


def check_version(stored: Specified, version: int) -> None:
    """Refuse a writer who read another spec than the one stored.

    What the cluster wrote since, such as the progress of an update, makes nobody's version old.
    (Swarm refuses it: whoever updates a service twice must read again and again.)
    """
    if not stored.spec_since.index < version <= stored.version.index:
        raise OutOfSequence
