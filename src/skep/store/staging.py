"""From changes to commits: what is accepted, what is refused, and what the log must be told.

Pure: nothing here waits, writes or reads a clock. The writer stages a batch, persists it and then
applies it to memory; the simulator applies it at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from skep.kit.errors import Conflict, NameTaken, OutOfSequence
from skep.model.base import Version
from skep.model.network import Network
from skep.model.service import Service
from skep.store.change import KIND_OF, Change, Commit, Create, Delete, Event, Stored
from skep.store.form import encode
from skep.store.log import Record
from skep.store.memory import MemoryView


class Staged:
    """The state as it will be after the commits accepted so far, on top of `view`."""

    def __init__(self, view: MemoryView, now: datetime) -> None:
        self._view = view
        self._now = now
        self.revision = view.revision
        self._objects: dict[tuple[str, str], Stored | None] = {}
        self._bodies: dict[tuple[str, str], bytes | None] = {}
        self._owners: dict[tuple[str, str], str | None] = {}

    def check(self, changes: Sequence[Change]) -> Commit:
        """The commit that these changes make; a refusal leaves the stage untouched.

        Raises as `Store.commit` does, but for Unavailable.
        Objects are encoded here, so that one that cannot be kept is refused to its own caller.
        """
        revision = self.revision + 1
        objects: dict[tuple[str, str], Stored | None] = {}
        bodies: dict[tuple[str, str], bytes | None] = {}
        owners: dict[tuple[str, str], str | None] = {}
        events = []
        for change in changes:
            event = self._event(change, revision, objects)
            self._rename(event, owners)
            stored = event.new or event.old
            assert stored is not None
            key = (event.kind, stored.id)
            objects[key] = event.new
            bodies[key] = encode(event.kind, event.new) if event.new is not None else None
            events.append(event)
        self._objects.update(objects)
        self._bodies.update(bodies)
        self._owners.update(owners)
        self.revision = revision
        return Commit(revision, tuple(events))

    def records(self) -> list[Record]:
        """The newest of every object that the accepted commits change."""
        return [Record(kind, object_id, body) for (kind, object_id), body in self._bodies.items()]

    def _event(
        self, change: Change, revision: int, pending: Mapping[tuple[str, str], Stored | None]
    ) -> Event:
        wanted = change.old if isinstance(change, Delete) else change.new
        kind = KIND_OF[type(wanted)]
        key = (kind, wanted.id)
        layer = next((layer for layer in (pending, self._objects) if key in layer), None)
        old = layer[key] if layer is not None else self._view.get(kind, wanted.id)
        if isinstance(change, Create):
            if old is not None:
                raise Conflict(f"{kind} {wanted.id} already exists")
            born = self._stamped(change.new, revision, self._now)
            return Event(kind, "create", None, born, change.why)
        if old is None or old.version != wanted.version:
            raise OutOfSequence()
        if isinstance(change, Delete):
            return Event(kind, "remove", old, None, change.why)
        changed = self._stamped(change.new, revision, old.created_at)
        return Event(kind, "update", old, changed, change.why)

    def _stamped(self, new: Stored, revision: int, created_at: datetime) -> Stored:
        return msgspec.structs.replace(
            new, version=Version(revision), created_at=created_at, updated_at=self._now
        )

    def _rename(self, event: Event, pending: dict[tuple[str, str], str | None]) -> None:
        """Names of services and of networks are unique among their kind."""
        old_name, new_name = _unique_name(event.old), _unique_name(event.new)
        if old_name == new_name:
            return
        if old_name is not None:
            pending[event.kind, old_name] = None
        if new_name is not None and event.new is not None:
            if self._owner(event.kind, new_name, pending) is not None:
                raise NameTaken(event.kind, new_name)
            pending[event.kind, new_name] = event.new.id

    def _owner(
        self, kind: str, name: str, pending: Mapping[tuple[str, str], str | None]
    ) -> str | None:
        for layer in (pending, self._owners):
            if (kind, name) in layer:
                return layer[kind, name]
        view = self._view
        found = view.service_named(name) if kind == "service" else view.network_named(name)
        return found.id if found is not None else None


def _unique_name(stored: Stored | None) -> str | None:
    return stored.spec.name if isinstance(stored, Service | Network) else None
