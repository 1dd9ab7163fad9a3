"""An agent without containers: it does to tasks what an agent would, with faults on demand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from skep.agent.step import REACHES, Step, next_step
from skep.model import defaults
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus

Later = Callable[[float, Callable[[], None]], None]
"""Calls a function after that many seconds."""

_QUICK_S = 0.002
_GONE = "task: its process is gone"


class Behaviour(NamedTuple):
    """What the containers of an image do. Times in seconds, varied by a half up and down."""

    prepare_s: float = 0.05
    start_s: float = 0.05
    stop_s: float = 0.05
    rejected: bool = False
    exits_after_s: float | None = None
    exit_code: int = 1


class _Life:
    """One task here: how far it is, and the step that is under way."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.state = TaskState.ASSIGNED
        self.err = ""
        self.step: Step | None = None
        self.mark = object()


class SimulatedAgent:
    """One node's agent. `report` is called with (task id, status) for each step.

    What to do next it asks of the real agent's table (`agent/step.py`); here is only what comes of
    it, and when.
    """

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
        self._lives: dict[str, _Life] = {}

    @property
    def processes(self) -> list[Task]:
        """Tasks whose process runs on this node."""
        return [life.task for life in self._lives.values() if life.state is TaskState.RUNNING]

    @property
    def serving(self) -> list[Task]:
        """Those of them that were not told to stop."""
        return [
            life.task
            for life in self._lives.values()
            if life.state is TaskState.RUNNING and life.step is not Step.STOP
        ]

    def told(self, tasks: Iterable[Task]) -> None:
        """All that a dispatcher tells this node of."""
        known, self._lives = self._lives, {}
        for task in tasks:
            if task.id in known:
                known[task.id].task = task
                self._lives[task.id] = known[task.id]
            elif not task.status.state.dead:
                self._lives[task.id] = self._taken_on(task)
        for life in list(self._lives.values()):
            self._go_on(life)

    def lose_power(self) -> None:
        """All processes are gone. What was assigned is on disk, and how far it was."""
        for life in self._lives.values():
            life.step, life.mark = None, object()
            if life.state >= TaskState.STARTING and not life.state.dead:
                life.state, life.err = TaskState.FAILED, _GONE

    def report_all(self) -> None:
        """What an agent does first in a new session."""
        for life in self._lives.values():
            self._say(life)

    def _taken_on(self, task: Task) -> _Life:
        """A task that this agent did not know. What another had begun of it is gone."""
        life = _Life(task)
        if task.status.state > TaskState.ACCEPTED and task.desired_state <= TaskState.RUNNING:
            self._enter(life, TaskState.FAILED, _GONE)
        return life

    def _go_on(self, life: _Life) -> None:
        """Begin the next step, unless it is under way. Another one that is, is given up."""
        step = next_step(life.task.desired_state, life.state)
        if step is life.step:
            return
        life.step = step
        mark = life.mark = object()
        duration_s = self._duration(life, step)
        if duration_s is not None:
            self._later(duration_s, lambda: self._done(life, mark))

    def _done(self, life: _Life, mark: object) -> None:
        if self._lives.get(life.task.id) is not life or life.mark is not mark:
            return
        assert life.step is not None
        self._enter(life, *self._outcome(life, life.step))
        life.step = None
        self._go_on(life)

    def _outcome(self, life: _Life, step: Step) -> tuple[TaskState, str]:
        behaviour = self._behaviour(life)
        if step is Step.CREATE and behaviour.rejected:
            return TaskState.REJECTED, "No such image"
        if step is Step.WATCH and behaviour.exit_code:
            return TaskState.FAILED, f"task: non-zero exit ({behaviour.exit_code})"
        return REACHES[step], ""

    def _duration(self, life: _Life, step: Step) -> float | None:
        """None: until the wish changes."""
        behaviour = self._behaviour(life)
        match step:
            case Step.CREATE:
                seconds = behaviour.prepare_s
            case Step.START:
                seconds = behaviour.start_s
            case Step.WATCH if behaviour.exits_after_s is not None:
                seconds = behaviour.exits_after_s
            case Step.STOP if life.state is TaskState.RUNNING:
                seconds = behaviour.stop_s
            case Step.WATCH | Step.HOLD | Step.REST:
                return None
            case _:
                seconds = _QUICK_S
        return seconds * self._chance.uniform(0.5, 1.5)

    def _behaviour(self, life: _Life) -> Behaviour:
        return self._behaviours.get(defaults.container(life.task.spec).image, Behaviour())

    def _enter(self, life: _Life, state: TaskState, err: str = "") -> None:
        life.state, life.err = state, err
        self._say(life)

    def _say(self, life: _Life) -> None:
        status = TaskStatus(timestamp=self._clock(), state=life.state, err=life.err)
        self._report(life.task.id, status)
