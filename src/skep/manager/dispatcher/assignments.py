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
    """What one agent knows: the version of each thing, what its tasks need (those that need
    anything), and how many tasks need each."""

    versions: dict[Reference, int] = {}
    needs: dict[str, tuple[Reference, ...]] = {}
    uses: dict[Reference, int] = {}


class Thing(NamedTuple):
    """A thing that is to be told. `body` is what its kind says, and is encoded when it is sent."""

    reference: Reference
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
    tasks = [Reference(TASK, task.id) for task in view.tasks_of_node(node_id)]
    news, told = difference(view, node_id, Told(), tasks)
    return news or News([], []), told


def difference(
    view: View, node_id: str, told: Told, changed: Iterable[Reference]
) -> tuple[News | None, Told]:
    """What is news since `told` of the things that `changed`; None when the agent knows it all."""
    after = Told(dict(told.versions), dict(told.needs), dict(told.uses))
    concerned = set(changed)
    tasks = sorted(each for each in concerned if each.kind == TASK)
    things = [thing for each in tasks if (thing := _task(view, node_id, each, after))]
    removed = [each for each in tasks if each in told.versions and each not in after.versions]
    concerned.update(need for thing in things for need in thing.needs)
    concerned.update(need for each in removed for need in told.needs.get(each.id, ()))
    needed: list[Thing] = []
    for each in sorted(concerned.difference(tasks)):
        if thing := _needed(view, each, after):
            needed.append(thing)
        elif each in told.versions and each not in after.versions:
            removed.append(each)
    if not (things or needed or removed):
        return None, told
    return News(needed + things, removed), after


def _task(view: View, node_id: str, reference: Reference, told: Told) -> Thing | None:
    """The task, if it is news; `told` is brought up to date."""
    task = view.task(reference.id)
    known = reference in told.versions
    if task is None or task.node_id != node_id:
        if known:
            del told.versions[reference]
            _use(told.uses, told.needs.pop(reference.id, ()), -1)
        return None
    version = _VERSION[task.desired_state]
    if told.versions.get(reference) == version or (not known and _never_started(task)):
        return None
    told.versions[reference] = version
    if not known and (needs := needs_of(view, task)):
        told.needs[task.id] = needs
        _use(told.uses, needs, +1)
    return Thing(reference, version, task, told.needs.get(task.id, ()))


def _needed(view: View, reference: Reference, told: Told) -> Thing | None:
    """What a task needs, if it is news; `told` is brought up to date. What is gone from the view
    stays as it was last told for as long as a task has it."""
    if reference not in told.uses:
        told.versions.pop(reference, None)
        return None
    kind = KINDS[reference.kind]
    found = kind.find(view, reference.id)
    if found is None or told.versions.get(reference) == found.version:
        return None
    told.versions[reference] = found.version
    return Thing(reference, found.version, found.body, volatile=kind.volatile)


def _never_started(task: Task) -> bool:
    """It is not the node's yet, or it died before the node heard of it."""
    status = task.status
    return status.state < TaskState.ASSIGNED or (
        status.state.dead and status.container_status is None
    )


def _use(uses: dict[Reference, int], things: Iterable[Reference], more: int) -> None:
    for thing in things:
        uses[thing] = uses.get(thing, 0) + more
        if not uses[thing]:
            del uses[thing]


def matters(event: Event) -> bool:
    """Whether a change of a task can be news for an agent: most are what agents reported."""
    old, new = event.old, event.new
    if not isinstance(old, Task) or not isinstance(new, Task):
        return True
    before, after = (task.status.state >= TaskState.ASSIGNED for task in (old, new))
    same = old.desired_state == new.desired_state and old.node_id == new.node_id
    return not (same and before and after)


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
    reference, version, body, needs, volatile = thing
    return Assigned(
        kind=reference.kind,
        id=reference.id,
        version=version,
        body=encoded(body),
        needs=list(needs),
        volatile=volatile,
    )
