"""What a node must be told, given what it was told before: a pure difference.

Tasks are told because they are the node's, everything else because a task needs it (`kinds.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from skep.manager.dispatcher.kinds import KINDS, needs_of
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.messages import Assigned, Assignments, Reference
from skep.protocol.wire import encoded
from skep.store.change import Event, View

TASK = "task"
_VERSION = {desired: number for number, desired in enumerate(TaskState)}
"""Of a task, as its node sees it: after it was assigned, only what is desired changes."""

_A_PART, _A_PART_BYTES = 128, 512 * 1024
"""So many things, or so many bytes of them, go in one message (a larger thing goes alone)."""
_REMOVED_A_PART = 4_096


class Told(msgspec.Struct, frozen=True):
    """What one agent knows: the versions of its tasks and of what they need, what each task needs
    (those that need anything), and how many tasks need each."""

    tasks: dict[str, int] = {}
    things: dict[Reference, int] = {}
    needs: dict[str, tuple[Reference, ...]] = {}
    uses: dict[Reference, int] = {}


class Thing(NamedTuple):
    """What is to be told. `body` is what its kind says, and is encoded when it is sent."""

    kind: str
    id: str
    version: int
    body: object
    needs: tuple[Reference, ...] = ()
    volatile: bool = False


class News(NamedTuple):
    """Things to be told, each after those that it needs, and what may be forgotten then."""

    things: list[Thing]
    removed: list[Reference]


def complete(view: View, node_id: str) -> tuple[News, Told]:
    """Everything the node must know, for the first messages of a session."""
    tasks = (task.id for task in view.tasks_of_node(node_id))
    news, told = difference(view, node_id, Told(), tasks)
    return news or News([], []), told


def difference(
    view: View, node_id: str, told: Told, tasks: Iterable[str], things: Iterable[Reference] = ()
) -> tuple[News | None, Told]:
    """What changed among those tasks, and things that tasks need, since `told`; None when the
    agent knows it all."""
    changes = _Changes(view, node_id, told)
    for task_id in sorted(set(tasks)):
        changes.look_at_task(task_id)
    for thing in sorted(changes.touched.union(things)):
        changes.look_at_thing(thing)
    if not (changes.tasks or changes.things or changes.removed):
        return None, told
    return News(changes.things + changes.tasks, changes.removed), changes.told


class _Changes:
    """What was found to be news, and what is told then."""

    def __init__(self, view: View, node_id: str, told: Told) -> None:
        self._view = view
        self._node_id = node_id
        self.told = Told(dict(told.tasks), dict(told.things), dict(told.needs), dict(told.uses))
        self.tasks: list[Thing] = []
        self.things: list[Thing] = []
        self.removed: list[Reference] = []
        self.touched: set[Reference] = set()

    def look_at_task(self, task_id: str) -> None:
        task, told = self._view.task(task_id), self.told
        before = told.tasks.get(task_id)
        if task is None or task.node_id != self._node_id:
            if before is not None:
                del told.tasks[task_id]
                self._use(told.needs.pop(task_id, ()), -1)
                self.removed.append(Reference(TASK, task_id))
            return
        version = _VERSION[task.desired_state]
        if before == version or (before is None and _never_started(task)):
            return
        if before is None and (needs := needs_of(self._view, task)):
            told.needs[task_id] = needs
            self._use(needs, +1)
        told.tasks[task_id] = version
        self.tasks.append(Thing(TASK, task_id, version, task, told.needs.get(task_id, ())))

    def look_at_thing(self, thing: Reference) -> None:
        """What is gone from the view stays as it was last told for as long as a task has it."""
        told = self.told.things
        if thing not in self.told.uses:
            if told.pop(thing, None) is not None:
                self.removed.append(thing)
            return
        kind = KINDS[thing.kind]
        found = kind.find(self._view, thing.id)
        if found is not None and told.get(thing) != found.version:
            told[thing] = found.version
            self.things.append(Thing(thing.kind, thing.id, *found, volatile=kind.volatile))

    def _use(self, things: Iterable[Reference], more: int) -> None:
        uses = self.told.uses
        for thing in things:
            self.touched.add(thing)
            uses[thing] = uses.get(thing, 0) + more
            if not uses[thing]:
                del uses[thing]


def _never_started(task: Task) -> bool:
    """It is not the node's yet, or it died before the node heard of it."""
    status = task.status
    return status.state < TaskState.ASSIGNED or (
        status.state.dead and status.container_status is None
    )


def matters(event: Event) -> bool:
    """Whether a change of a task can be news for an agent: most are what agents reported."""
    old, new = event.old, event.new
    if not isinstance(old, Task) or not isinstance(new, Task):
        return True
    same = old.desired_state is new.desired_state and old.node_id == new.node_id
    return not (same and old.status.state >= TaskState.ASSIGNED)


def in_parts(news: News) -> Iterator[Assignments]:
    """The news as messages of a bounded size, each made when it is asked for, and `more` said where
    more follows."""
    part: list[Assigned] = []
    size = 0
    for thing in news.things:
        assigned = _assigned(thing)
        if part and (len(part) == _A_PART or size + len(assigned.body) > _A_PART_BYTES):
            yield Assignments(assigned=part, more=True)
            part, size = [], 0
        part.append(assigned)
        size += len(assigned.body)
    removed = news.removed
    while len(removed) > _REMOVED_A_PART:
        yield Assignments(assigned=part, removed=removed[:_REMOVED_A_PART], more=True)
        part, removed = [], removed[_REMOVED_A_PART:]
    yield Assignments(assigned=part, removed=removed)


def _assigned(thing: Thing) -> Assigned:
    kind, id_, version, body, needs, volatile = thing
    return Assigned(kind, id_, version, encoded(body), needs, volatile)
