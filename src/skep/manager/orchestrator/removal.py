"""Services that are gone: their tasks go too. The reaper forgets them once they are dead."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from skep.manager.orchestrator.slots import REMOVE
from skep.model.task import Task
from skep.store.change import Update

_CAUSE = "the service was removed"


def remove_all(tasks: Iterable[Task]) -> list[Update]:
    """Wish all tasks away, dead ones too."""
    return [
        Update(replace(task, desired_state=REMOVE, cause_of_end=_CAUSE), why=_CAUSE)
        for task in tasks
        if task.desired_state < REMOVE
    ]
