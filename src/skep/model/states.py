"""The life of a task, on one screen.

    new > pending > assigned > accepted > preparing > ready > starting > running
        > complete | shutdown | failed | rejected > remove > orphaned

States only grow (source: swarmkit design/task_model.md). Who writes which: orchestrator NEW;
allocator PENDING; scheduler ASSIGNED (or REJECTED); agent ACCEPTED to RUNNING and the terminal
ones; the reaper ORPHANED. A manager's wish, the desired state, is one of READY, RUNNING, COMPLETE,
SHUTDOWN, REMOVE and only grows too.
"""

from __future__ import annotations

import enum


class TaskState(enum.StrEnum):
    """A state, or a desired state. Compared by its place in the life, not by its letters."""

    NEW = "new"
    PENDING = "pending"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETE = "complete"
    SHUTDOWN = "shutdown"
    FAILED = "failed"
    REJECTED = "rejected"
    REMOVE = "remove"
    ORPHANED = "orphaned"

    def __lt__(self, other: str) -> bool:
        return _RANK[self] < _RANK[other]

    def __le__(self, other: str) -> bool:
        return _RANK[self] <= _RANK[other]

    def __gt__(self, other: str) -> bool:
        return _RANK[self] > _RANK[other]

    def __ge__(self, other: str) -> bool:
        return _RANK[self] >= _RANK[other]

    @property
    def dead(self) -> bool:
        """The process is gone, or never came: nothing further will happen to the task."""
        return self in _DEAD


_RANK: dict[str, int] = {state.value: rank for rank, state in enumerate(TaskState)}
_DEAD = frozenset(state for state in TaskState if state > TaskState.RUNNING)
