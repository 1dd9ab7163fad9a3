"""An agent without containers: it does to tasks what an agent would, with faults on demand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from skep.model import defaults
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus

Later = Callable[[float, Callable[[], None]], None]
"""Calls a function after that many seconds."""

_NEXT = {
    TaskState.ACCEPTED: TaskState.PREPARING,
    TaskState.PREPARING: TaskState.READY,
    TaskState.READY: TaskState.STARTING,
    TaskState.STARTING: TaskState.RUNNING,
}


class Behaviour(NamedTuple):
    """What the containers of an image do. Times in seconds, varied by a half up and down."""

    prepare_s: float = 0.05
    start_s: float = 0.05
    stop_s: float = 0.05
    rejected: bool = False
    exits_after_s: float | None = None
    exit_code: int = 1


class SimulatedAgent:
    """One node's agent. `report` is called with (task id, status) for each step."""

    def __init__(
        self,
        behaviours: Mapping[str, Behaviour],
        chance: random.Random,
        clock: Callable[[], datetime],
        later: Later,
        report: Callable[[str, TaskStatus], None],
    ) -> None:
        self._behaviours = behaviours
        self._chance = chance
        self._clock = clock
        self._later = later
        self._report = report
        self._assigned: dict[str, Task] = {}
        self._states: dict[str, TaskState] = {}
        self._stopping: set[str] = set()

    @property
    def processes(self) -> list[Task]:
        """Tasks whose process runs on this node."""
        return [
            task
            for task_id, task in self._assigned.items()
            if self._states[task_id] is TaskState.RUNNING
        ]

    @property
    def serving(self) -> list[Task]:
        """Those of them that were not told to stop."""
        return [task for task in self.processes if task.id not in self._stopping]

    def told(self, tasks: Iterable[Task]) -> None:
        """All that a dispatcher tells this node of."""
        assigned = {task.id: task for task in tasks}
        self._states = {task_id: state for task_id, state in self._states.items()
                        if task_id in assigned}  # fmt: skip
        self._assigned = {
            task_id: task
            for task_id, task in assigned.items()
            if task_id in self._states or not task.status.state.dead
        }
        for task_id, task in list(self._assigned.items()):
            if task_id not in self._states:
                self._accept(task)
            elif task.desired_state > TaskState.RUNNING:
                self._stop(task_id)
            elif self._states[task_id] is TaskState.READY:
                self._step_later(task_id)

    def lose_power(self) -> None:
        """All processes are gone. What was assigned is on disk, and how far it was."""
        for task_id, state in self._states.items():
            if not state.dead:
                self._states[task_id] = TaskState.FAILED
        self._stopping.clear()

    def report_all(self) -> None:
        """What an agent does first in a new session."""
        for task_id, state in self._states.items():
            err = "task: its process is gone" if state is TaskState.FAILED else ""
            self._say(task_id, state, err)

    def _accept(self, task: Task) -> None:
        if task.desired_state > TaskState.RUNNING:
            self._enter(task.id, TaskState.SHUTDOWN)
        elif task.status.state > TaskState.ACCEPTED:
            self._enter(task.id, TaskState.FAILED, "task: its process is gone")
        else:
            self._enter(task.id, TaskState.ACCEPTED)
            self._step_later(task.id)

    def _step_later(self, task_id: str) -> None:
        before = self._states[task_id]
        self._later(self._duration(task_id, before), lambda: self._step(task_id, before))

    def _step(self, task_id: str, before: TaskState) -> None:
        task = self._assigned.get(task_id)
        if task is None or self._states[task_id] is not before or task_id in self._stopping:
            return
        if before is TaskState.PREPARING and self._behaviour(task_id).rejected:
            self._enter(task_id, TaskState.REJECTED, "No such image")
            return
        if before is TaskState.READY and task.desired_state < TaskState.RUNNING:
            return
        self._enter(task_id, _NEXT[before])
        if self._states[task_id] is TaskState.RUNNING:
            self._exit_later(task_id)
        else:
            self._step_later(task_id)

    def _exit_later(self, task_id: str) -> None:
        lives_s = self._behaviour(task_id).exits_after_s
        if lives_s is not None:
            self._later(self._about(lives_s), lambda: self._exit(task_id))

    def _exit(self, task_id: str) -> None:
        if self._states.get(task_id) is not TaskState.RUNNING:
            return
        code = self._behaviour(task_id).exit_code
        if code:
            self._enter(task_id, TaskState.FAILED, f"task: non-zero exit ({code})")
        else:
            self._enter(task_id, TaskState.COMPLETE)

    def _stop(self, task_id: str) -> None:
        state = self._states[task_id]
        if state.dead or task_id in self._stopping:
            return
        if state is not TaskState.RUNNING:
            self._enter(task_id, TaskState.SHUTDOWN)
            return
        self._stopping.add(task_id)
        self._later(self._about(self._behaviour(task_id).stop_s), lambda: self._stopped(task_id))

    def _stopped(self, task_id: str) -> None:
        if task_id in self._stopping:
            self._stopping.discard(task_id)
            if self._states.get(task_id) is TaskState.RUNNING:
                self._enter(task_id, TaskState.SHUTDOWN)

    def _enter(self, task_id: str, state: TaskState, err: str = "") -> None:
        self._states[task_id] = state
        self._say(task_id, state, err)

    def _say(self, task_id: str, state: TaskState, err: str) -> None:
        self._report(task_id, TaskStatus(timestamp=self._clock(), state=state, err=err))

    def _behaviour(self, task_id: str) -> Behaviour:
        image = defaults.container(self._assigned[task_id].spec).image
        return self._behaviours.get(image, Behaviour())

    def _duration(self, task_id: str, state: TaskState) -> float:
        behaviour = self._behaviour(task_id)
        if state is TaskState.PREPARING:
            return self._about(behaviour.prepare_s)
        if state is TaskState.STARTING:
            return self._about(behaviour.start_s)
        return self._about(0.002)

    def _about(self, seconds: float) -> float:
        return seconds * self._chance.uniform(0.5, 1.5)
