"""From changes to commits: what is accepted, what is refused, and what the log must be told.

Pure: nothing here waits, writes or reads a clock. The writer stages a batch, persists it and then
applies it to memory; the simulator applies it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from skep.kit.errors import Conflict, NameTaken, OutOfSequence
from skep.model.base import Version
from skep.store import form
from skep.store.change import Change, Commit, Create, Delete, Event
from skep.store.form import Key, Record
from skep.store.kinds import Kind, Stored, kind_of
from skep.store.log import Entry
from skep.store.memory import MemoryView


class Staged:
    """The state as it will be after the commits accepted so far, on top of `view`."""

    def __init__(self, view: MemoryView, now: datetime) -> None:
        self.view = view
        self.now = now
        self.revision = view.revision
        self.entries: list[Entry] = []
        self._objects: dict[Key, Stored | None] = {}
        self._names: dict[Key, str | None] = {}

    def check(self, changes: Iterable[Change]) -> Commit:
        """The commit that these changes make; a refusal leaves the stage untouched.

        Raises as `Store.commit` does, but for Unavailable.
        """
        draft = Draft(self)
        for change in changes:
            draft.add(change)
        return self.accept(draft)

    def accept(self, draft: Draft) -> Commit:
        """The draft as the next commit. It must be the one begun last."""
        self.revision = draft.revision
        self._objects.update(draft.objects)
        self._names.update(draft.names)
        self.entries.append(form.entry(draft.revision, draft.records))
        return Commit(draft.revision, tuple(draft.events))

    def get(self, key: Key) -> Stored | None:
        return self._objects[key] if key in self._objects else self.view.get(*key)

    def owner(self, kind: Kind[Any], name: str) -> str | None:
        """The id of the object that has the unique name."""
        key = (kind.name, name)
        if key in self._names:
            return self._names[key]
        found = self.view.table(kind).named(name)
        return found.id if found is not None else None


class Draft:
    """One commit in the making, change by change, so that a huge one can be made in slices.

    Objects are encoded here, so that one that cannot be kept is refused to its own caller.
    """

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self.revision = staged.revision + 1
        self.events: list[Event] = []
        self.records: list[Record] = []
        self.objects: dict[Key, Stored | None] = {}
        self.names: dict[Key, str | None] = {}

    def add(self, change: Change) -> None:
        """Raises as `Staged.check` does; the draft is of no use then."""
        wanted = change.old if isinstance(change, Delete) else change.new
        kind = kind_of(wanted)
        event = self._event(kind, wanted, change)
        self._rename(kind, event)
        self.objects[kind.name, wanted.id] = event.new
        self.events.append(event)
        self.records.append(form.record(event))

    def _event(self, kind: Kind[Any], wanted: Stored, change: Change) -> Event:
        key = (kind.name, wanted.id)
        old = self.objects[key] if key in self.objects else self._staged.get(key)
        if isinstance(change, Create):
            if old is not None:
                raise Conflict(f"{kind.name} {wanted.id} already exists")
            born = self._stamped(wanted, self._staged.now)
            return Event(kind.name, "create", None, born, change.why)
        if old is None or old.version != wanted.version:
            raise OutOfSequence()
        if isinstance(change, Delete):
            return Event(kind.name, "remove", old, None, change.why)
        return Event(kind.name, "update", old, self._stamped(wanted, old.created_at), change.why)

    def _stamped(self, new: Stored, created_at: datetime) -> Stored:
        return msgspec.structs.replace(
            new, version=Version(self.revision), created_at=created_at, updated_at=self._staged.now
        )

    def _rename(self, kind: Kind[Any], event: Event) -> None:
        name_of = kind.unique_name
        if name_of is None:
            return
        old = name_of(event.old) if event.old is not None else None
        new = name_of(event.new) if event.new is not None else None
        if old == new:
            return
        if old is not None:
            self.names[kind.name, old] = None
        if new is not None and event.new is not None:
            key = (kind.name, new)
            owner = self.names[key] if key in self.names else self._staged.owner(kind, new)
            if owner is not None:
                raise NameTaken(kind.name, new)
            self.names[key] = event.new.id
