"""Whether and when an ended task gets a successor.

Swarm's rule (swarmkit manager/orchestrator/restart): the condition, then the attempts that count;
the successor is made at once and held at READY (its image is pulled meanwhile) until the delay
has passed and the old task has stopped. There is no delay on a node that is being drained.
Unlike Swarm's, attempts stand in the tasks, not in the leader's memory; and a task lost with its
node starts again at once and uses up no attempt, since it did nothing wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from skep.kit.clock import after_ns
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.scene import Scene, why_dead, why_lost
from skep.manager.orchestrator.slots import REMOVE, Slot, wanted
from skep.model import defaults
from skep.model.states import TaskState
from skep.model.task import Task, state_since

_BY_ITSELF = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED})
"""States of a task that ended though nobody asked it to."""


def may_restart(task: Task) -> bool:
    """The policy allows a successor to this task, which died or was lost."""
    condition = defaults.restart_condition(task.spec)
    if condition == "none":
        return False
    if condition == "on-failure" and task.status.state is TaskState.COMPLETE:
        return False
    limit = defaults.restart_max_attempts(task.spec)
    if not limit or task.status.state not in _BY_ITSELF:
        return True
    return attempts(task) < limit


def attempts(task: Task) -> int:
    """Restarts of its slot that count against the task: those in the window before its death."""
    window_ns = defaults.restart_window_ns(task.spec)
    if not window_ns:
        return len(task.restarts)
    died_at = state_since(task)
    return sum(after_ns(restart, window_ns) > died_at for restart in task.restarts)


def at_rest(slot: Slot) -> bool:
    """The slot's last task ended and the policy wants no other: the slot is filled, not vacant."""
    newest = slot.tasks[-1] if slot.tasks else None
    if newest is None or wanted(newest) or newest.desired_state is REMOVE:
        return False
    if newest.status.state not in _BY_ITSELF and defaults.restart_condition(newest.spec) != "none":
        return False
    return not may_restart(newest)


def retire(task: Task, draft: Draft) -> None:
    """The wish for a task that died, or was lost, ends."""
    scene = draft.scene
    if not task.status.state.dead:
        draft.end(task, TaskState.SHUTDOWN, why_lost(scene, task))
        return
    cause = why_dead(task)
    if not may_restart(task):
        cause = f"{cause}; {_no_successor(task)}"
    draft.end(task, TaskState.SHUTDOWN, cause)


def succeed(slot: Slot, task: Task, draft: Draft) -> Task | None:
    """The successor of the task, which died or was lost; None where the policy wants none."""
    if not may_restart(task):
        return None
    scene = draft.scene
    if not task.status.state.dead:
        return draft.birth(
            slot,
            "loss",
            f"replaces task {task.id}: {why_lost(scene, task)}",
            hold_until=task.hold_until,
            restarts=carried(scene, task),
        )
    return draft.birth(
        slot,
        "restart",
        f"replaces task {task.id}: {why_dead(task)}{_attempt(task)}",
        hold_until=_hold_until(scene, task),
        restarts=_counted(scene, task),
    )


def carried(scene: Scene, task: Task) -> Sequence[datetime]:
    """The restarts that the task's successor inherits: those under the same spec version."""
    return task.restarts if task.spec_version == scene.service.spec_version else ()


def _counted(scene: Scene, task: Task) -> Sequence[datetime]:
    limit = defaults.restart_max_attempts(task.spec)
    if not limit or task.spec_version != scene.service.spec_version:
        return ()
    return [*task.restarts, scene.now][-limit:]


def _hold_until(scene: Scene, task: Task) -> datetime | None:
    delay_ns = defaults.restart_delay_ns(task.spec)
    if not delay_ns or scene.draining(task):
        return None
    return after_ns(scene.now, delay_ns)


def _attempt(task: Task) -> str:
    limit = defaults.restart_max_attempts(task.spec)
    return f", attempt {attempts(task) + 1} of {limit}" if limit else ""


def _no_successor(task: Task) -> str:
    condition = defaults.restart_condition(task.spec)
    if condition == "none" or (
        condition == "on-failure" and task.status.state is TaskState.COMPLETE
    ):
        return f"restart condition {condition}"
    return f"all {defaults.restart_max_attempts(task.spec)} restart attempts used up"
