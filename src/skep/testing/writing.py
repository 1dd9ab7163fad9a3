"""Commits as a writer makes them, for tests of what keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skep.store.change import Change, Commit
from skep.store.kinds import Stored
from skep.store.log import Entry
from skep.store.memory import MemoryView
from skep.store.staging import Staged
from skep.testing.builders import T0


class Writer:
    """A view, and the commits that made it."""

    def __init__(self) -> None:
        self.view = MemoryView()
        self.commits: list[Commit] = []

    def entries(self, *commits: Sequence[Change]) -> list[Entry]:
        """Each list of changes as a commit, applied to the view."""
        made: list[Entry] = []
        for changes in commits:
            staged = Staged(self.view, T0)
            commit = staged.check(changes)
            self.view.apply(commit.revision, commit.events)
            self.commits.append(commit)
            made += staged.entries
        return made


def by_id(objects: Iterable[Stored]) -> dict[str, Stored]:
    return {stored.id: stored for stored in objects}
