"""Giving a slot whose holder is well another task: what updates, drains and rebalancing share."""

from __future__ import annotations

from collections.abc import Iterable

from skep.manager.orchestrator import restart
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.slots import Slot, running
from skep.model.states import TaskState
from skep.model.task import Origin

_MOVES = frozenset({"update", "drain", "rebalance"})


def under_way(slot: Slot) -> bool:
    """The slot was given a task in place of a good one, and it does not run yet."""
    if not slot.holders:
        return False
    newest = slot.holders[-1]
    return newest.origin in _MOVES and not running(newest)


def allowance(limit: int, slots: Iterable[Slot]) -> int | None:
    """How many more may move when `limit` may at a time (0 = any number: None)."""
    return max(0, limit - sum(map(under_way, slots))) if limit else None


def replace_holder(slot: Slot, start_first: bool, origin: Origin, cause: str, draft: Draft) -> Slot:
    """The slot with a new task; what held it stops now, or once the new one runs.

    Swarm's two orders. Start-first keeps only what serves: a holder that does not run yet, such as
    the new task of an earlier update, stops in any case.
    """
    serving = [task for task in slot.holders if running(task)][-1:] if start_first else []
    for task in slot.holders:
        if task not in serving:
            draft.end(task, TaskState.SHUTDOWN, cause)
    before = slot.holders[-1] if slot.holders else slot.tasks[-1]
    inherited = restart.carried(draft.scene, before)
    born = draft.birth(slot, origin, f"replaces task {before.id}: {cause}", restarts=inherited)
    return slot._replace(holders=[*serving, born])
