"""Writers who state no version are not told that somebody else wrote."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from skep.kit.errors import OutOfSequence
from skep.manager.control.writer import commit_latest
from skep.store.change import Change, View
from skep.store.memory import MemoryView
from skep.store.watch import Watch


class BusyStore:
    """Somebody writes before each of the first `times` commits."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tries = 0

    @property
    def view(self) -> View:
        return MemoryView([], self.tries)

    def watch(self) -> Watch:
        raise NotImplementedError

    async def commit(self, changes: Sequence[Change]) -> int:
        self.tries += 1
        if self.tries <= self.times:
            raise OutOfSequence
        return self.tries


async def test_a_change_is_made_again_from_what_was_written_in_between() -> None:
    seen = []

    def changes(view: View) -> list[Change]:
        seen.append(view.revision)
        return []

    assert await commit_latest(BusyStore(2), changes) == 3
    assert seen == [0, 1, 2]


async def test_trying_again_has_an_end() -> None:
    store = BusyStore(10**6)
    with pytest.raises(OutOfSequence):
        await commit_latest(store, lambda view: [])
    assert store.tries == 10
