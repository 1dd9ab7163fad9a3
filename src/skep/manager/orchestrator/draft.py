"""Gathers what the plan of one service changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

from msgspec.structs import replace

from skep.kit.clock import after_ns
from skep.manager.orchestrator.scene import Scene
from skep.manager.orchestrator.slots import RUNNING, Slot, SlotKey, wanted
from skep.manager.slices import A_PLAN
from skep.model import defaults
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Origin, Task
from skep.store.change import Change, Create, Update

_STOP_TIMEOUT = timedelta(minutes=1)
"""How long a successor waits for the task before it to stop (swarmkit defaultOldTaskTimeout)."""


class Draft:
    """Changes to tasks, at most one for each; and the earliest time to look again.

    Who adds to it slot by slot asks whether there is `room_for` more; what needs no second look can
    be left `for_later` commits of the same plan.
    """

    def __init__(self, scene: Scene, most: int = A_PLAN) -> None:
        self.scene = scene
        self._most = most
        self.service: Service | None = None
        """The service as the plan changes it, if it does."""
        self.others: list[Change] = []
        self.wake_at: datetime | None = None
        self.remarks: list[str] = []
        self.rest: Iterator[Change] | None = None
        self._births: list[Task] = []
        self._edits: dict[str, Task] = {}

    def room_for(self, changes: int) -> int:
        """How many of so many more changes belong in this plan. For the rest there is another, at
        once."""
        if changes > self.left:
            self.wake(self.scene.now)
        return min(changes, self.left)

    @property
    def left(self) -> int:
        """How many more changes belong in this commit."""
        return max(0, self._most - len(self._births) - len(self._edits))

    def for_later(self, changes: Iterable[Change]) -> None:
        """More of the same plan, made when its time has come."""
        self.rest = chain(self.rest or (), changes)

    def birth(
        self,
        slot: Slot,
        origin: Origin,
        cause: str,
        hold_until: datetime | None = None,
        restarts: Sequence[datetime] = (),
    ) -> Task:
        """A new task for the slot. It waits, prepared, for the restart delay to pass and for tasks
        that are being stopped in its slot."""
        born = new_task(self.scene, slot.key, origin, cause, hold_until, restarts)
        look_again = self._not_before(slot, born)
        if look_again is not None:
            self.wake(look_again)
            born = replace(born, desired_state=TaskState.READY)
        self._births.append(born)
        return born

    def end(self, task: Task, desired: TaskState, cause: str) -> None:
        """The task is wanted no more."""
        before = self._edits.get(task.id, task)
        if before.desired_state < desired:
            self._edits[task.id] = ended(before, desired, cause)

    def raise_held(self, slot: Slot, task: Task) -> Task:
        """The task, at desired RUNNING if nothing holds it back any longer."""
        look_again = self._not_before(slot, task)
        if look_again is not None:
            self.wake(look_again)
            return task
        raised = self._edits[task.id] = replace(task, desired_state=RUNNING)
        return raised

    def wake(self, moment: datetime) -> None:
        """Plan this service again at `moment` at the latest."""
        if self.wake_at is None or moment < self.wake_at:
            self.wake_at = moment

    def changes(self) -> list[Change]:
        return [
            *([Update(self.service, why=_why(self.service))] if self.service else ()),
            *self.others,
            *(Update(task, why=task.cause_of_end or "its turn has come")
              for task in self._edits.values()),
            *(Create(task, why=task.cause) for task in self._births),
        ]  # fmt: skip

    def explanations(self) -> list[str]:
        """A sentence for each kind of cause, not for each task."""
        by_origin: dict[Origin, list[Task]] = {}
        for task in self._births:
            by_origin.setdefault(task.origin, []).append(task)
        name = self.scene.service.spec.name
        return self.remarks + [_explanation(name, tasks) for tasks in by_origin.values()]

    def _not_before(self, slot: Slot, task: Task) -> datetime | None:
        """When to ask again whether the task may run; None = now."""
        now = self.scene.now
        if task.hold_until is not None and task.hold_until > now:
            return task.hold_until
        give_up = task.created_at + max(_STOP_TIMEOUT, self._longest_stop(slot))
        if give_up > now and any(self._stopping(before) for before in slot.tasks):
            return give_up
        return None

    def _longest_stop(self, slot: Slot) -> timedelta:
        """A task with a long grace is not overtaken while it uses it (Swarm: after 1 min)."""
        grace_ns = max((defaults.stop_grace_ns(task.spec) for task in slot.tasks), default=0)
        return after_ns(self.scene.now, grace_ns) - self.scene.now

    def _stopping(self, task: Task) -> bool:
        """A process of the task may still run though it is wanted no more."""
        if wanted(self._edits.get(task.id, task)) or not task.node_id:
            return False
        return not task.status.state.dead and not self.scene.lost(task)


def ended(task: Task, desired: TaskState, cause: str) -> Task:
    """The task as it is when it is wanted no more."""
    return replace(task, desired_state=desired, cause_of_end=cause)


def new_task(
    scene: Scene,
    key: SlotKey,
    origin: Origin,
    cause: str,
    hold_until: datetime | None = None,
    restarts: Sequence[datetime] = (),
) -> Task:
    return replace(
        scene.pattern,
        id=scene.new_id(),
        slot=key if isinstance(key, int) else 0,
        node_id=key if isinstance(key, str) else "",
        hold_until=hold_until,
        restarts=list(restarts),
        origin=origin,
        cause=cause,
    )


def _why(service: Service) -> str:
    return service.update_status.message if service.update_status else ""


def _explanation(name: str, tasks: list[Task]) -> str:
    more = f" (and {len(tasks) - 1} more)" if len(tasks) > 1 else ""
    return f"service {name}: new task: {tasks[0].cause}{more}"
