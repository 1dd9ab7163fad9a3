"""What an agent does next for one task: a table from (wish, fact) to a step.

One step at a time, each followed by a report; resuming after a crash is asking again.
"""

from __future__ import annotations

import enum

from skep.model.states import TaskState


class Step(enum.Enum):
    """The steps of a task's life on its node, in order."""

    ACCEPT = "take the task on"
    PREPARE = "begin to prepare"
    CREATE = "get image, volumes and sandbox, make the container"
    HOLD = "ready: wait until it is wanted running"
    BEGIN = "begin to start"
    START = "start the container and wait until it is well"
    WATCH = "running: wait for its exit"
    DISMISS = "never started: nothing to stop"
    STOP = "stop the container"
    REST = "dead: wait until it is forgotten"


_FORWARD = {
    TaskState.ASSIGNED: Step.ACCEPT,
    TaskState.ACCEPTED: Step.PREPARE,
    TaskState.PREPARING: Step.CREATE,
    TaskState.READY: Step.BEGIN,
    TaskState.STARTING: Step.START,
    TaskState.RUNNING: Step.WATCH,
}


REACHES = {
    Step.ACCEPT: TaskState.ACCEPTED,
    Step.PREPARE: TaskState.PREPARING,
    Step.CREATE: TaskState.READY,
    Step.BEGIN: TaskState.STARTING,
    Step.START: TaskState.RUNNING,
    Step.WATCH: TaskState.COMPLETE,
    Step.DISMISS: TaskState.SHUTDOWN,
    Step.STOP: TaskState.SHUTDOWN,
}
"""The state of a task once the step is done and nothing went wrong."""


def next_step(desired: TaskState, state: TaskState) -> Step:
    """The one thing to do for a task that is wanted `desired` and observed `state`."""
    if state.dead:
        return Step.REST
    if desired >= TaskState.SHUTDOWN:
        return Step.STOP if state >= TaskState.PREPARING else Step.DISMISS
    if state == TaskState.READY and desired < TaskState.RUNNING:
        return Step.HOLD
    return _FORWARD.get(state, Step.ACCEPT)
