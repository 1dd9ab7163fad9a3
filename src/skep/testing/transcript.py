"""A plan as a few lines that read as sentences, for tests that compare it whole."""

from __future__ import annotations

from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Room
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Change, Create, Delete, Stored, View
from skep.testing import builders


def look(room: Room, view: View, *keys: str, now: float = 100) -> list[str]:
    """What the room plans for the keys (default: all) at that second."""
    moment = builders.at(now)
    chosen = frozenset(keys or room.everything(view))
    plan = room.plan(view, NOTHING_SEEN, chosen, moment, builders.ids())
    lines = [_line(view, change) for change in plan.changes]
    lines += (
        f"look at {key} again in {(again - moment).total_seconds():g} s"
        for key, again in sorted(plan.wake.items())
    )
    return lines


def _line(view: View, change: Change) -> str:
    if isinstance(change, Delete):
        return f"forget {change.old.id}"
    if isinstance(change, Create):
        return _birth(change.new)
    if isinstance(change.new, Service) and change.new.update_status is not None:
        return f"{change.new.id} {change.new.update_status.state}: {change.why}"
    if isinstance(change.new, Task):
        return _change(view.task(change.new.id), change.new)
    return f"{change.new.id}: {change.why}"


def _birth(stored: Stored) -> str:
    if not isinstance(stored, Task):
        return f"new {stored.id}"
    place = f"slot {stored.slot}" if stored.slot else f"node {stored.node_id}"
    wait = " held" if stored.desired_state is TaskState.READY else ""
    return f"new {stored.id} in {place}{wait}: {stored.cause}"


def _change(old: Task | None, new: Task) -> str:
    if old is not None and old.status != new.status:
        return f"{new.id} is {new.status.state}: {new.status.err or new.status.message}"
    reason = f": {new.cause_of_end}" if new.cause_of_end else ""
    return f"{new.id} to {new.desired_state}{reason}"
