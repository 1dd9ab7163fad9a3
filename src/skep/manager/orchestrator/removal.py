"""Services that are gone: their tasks go too. The reaper forgets them once they are dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skep.manager.orchestrator.draft import ended
from skep.manager.orchestrator.slots import REMOVE
from skep.model.task import Task
from skep.store.change import Change, Update

_CAUSE = "the service was removed"


def remove_all(tasks: Iterable[Task], most: int) -> tuple[list[Update], Iterator[Change] | None]:
    """Wish all tasks away, dead ones too: so many now, the others later."""
    wanted = [task for task in tasks if task.desired_state < REMOVE]
    now, later = wanted[:most], wanted[most:]
    return [_removed(task) for task in now], map(_removed, later) if later else None


def _removed(task: Task) -> Update:
    return Update(ended(task, REMOVE, _CAUSE), why=_CAUSE)
