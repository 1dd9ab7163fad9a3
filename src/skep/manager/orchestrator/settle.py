"""One slot by itself: the dead and the lost leave, a successor comes, held tasks are raised."""

from __future__ import annotations

from skep.manager.orchestrator import restart
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.slots import RUNNING, Slot, running
from skep.manager.orchestrator.stale import Staleness
from skep.model.states import TaskState
from skep.model.task import Task


class Settler:
    """Settles the slots of one service."""

    def __init__(self, draft: Draft, staleness: Staleness) -> None:
        self._draft = draft
        self._scene = draft.scene
        self._staleness = staleness

    def settle(self, slot: Slot) -> Slot:
        """The slot with the holders that it has once this plan is committed."""
        if _quiet(slot) and self._scene.sound(slot.holders[0]):
            return slot
        if not self._draft.room_for(1):
            return slot
        holders, ended = self._sort(slot)
        for task in ended:
            restart.retire(task, self._draft)
        holders = [self._raised(slot, task) for task in self._reduced(holders)]
        if ended and not any(self.fit(task) for task in holders):
            successor = restart.succeed(slot, ended[-1], self._draft)
            holders += [successor] if successor else []
        return slot._replace(holders=holders)

    def fit(self, task: Task) -> bool:
        """The task may stay: of the present spec, on a node that is neither lost nor drained."""
        return self._scene.sound(task) and not self._staleness.stale(task)

    def _sort(self, slot: Slot) -> tuple[list[Task], list[Task]]:
        """The holders that go on, and those that died or were lost.

        A lost task that may have no successor goes on: perhaps its node returns with it.
        """
        going_on: list[Task] = []
        ended: list[Task] = []
        for task in slot.holders:
            lost = self._scene.lost(task) and restart.may_restart(task)
            died = task.status.state.dead and not self._serves_its_delay(task)
            (ended if lost or died else going_on).append(task)
        return going_on, ended

    def _serves_its_delay(self, task: Task) -> bool:
        """It died before its turn, as one whose image cannot be had does at once: it fills the
        slot until the delay is over, or its successors would follow each other without any."""
        held = task.hold_until is not None and task.hold_until > self._scene.now
        return held and self._scene.sound(task)

    def _reduced(self, holders: list[Task]) -> list[Task]:
        """Of several holders the newest that is fit stays alone as soon as it runs.

        After a rollback that may be the older one: its spec is the wanted one again.
        """
        if len(holders) < 2:
            return holders
        keeper = next((task for task in reversed(holders) if self.fit(task)), holders[-1])
        if not running(keeper):
            return holders
        for task in holders:
            if task is not keeper:
                self._draft.end(task, TaskState.SHUTDOWN, _superseded(task, keeper))
        return [keeper]

    def _raised(self, slot: Slot, task: Task) -> Task:
        if task.desired_state is RUNNING:
            return task
        return self._draft.raise_held(slot, task)


def _quiet(slot: Slot) -> bool:
    """Nothing to settle, whatever else is known: by far the most frequent case."""
    if len(slot.holders) != 1:
        return False
    task = slot.holders[0]
    return task.desired_state is RUNNING and not task.status.state.dead


def _superseded(task: Task, keeper: Task) -> str:
    """Why the keeper was made, if it was made in the task's place."""
    prefix = f"replaces task {task.id}: "
    if keeper.cause.startswith(prefix):
        return keeper.cause.removeprefix(prefix)
    return f"task {keeper.id} runs in its place"
