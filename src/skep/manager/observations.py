"""What was observed lately and no log keeps: how much a task uses, how long a queue is.

Stored objects say what people want and what became of it; an observation is of use for a moment,
and there may be one a second of each task. So it lies in memory alone, the newest of each, and a
new leader begins with none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

_MOST = 1_000_000


class Observation(msgspec.Struct, frozen=True):
    """A number, and when it was true by the manager's clock."""

    value: float
    at: datetime


class Seen(Protocol):
    """As a deciding room reads it."""

    def newest(self, kind: str, subject: str) -> Observation | None:
        """Of one kind ("cpu") of one subject (a task's id); None where nothing is known."""
        ...


class Observations:
    """The newest of each kind of each subject. Is `Seen`.

    Beyond a million the one that was noted longest ago is forgotten: it was of no use any more.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._newest: dict[tuple[str, str], Observation] = {}

    def newest(self, kind: str, subject: str) -> Observation | None:
        return self._newest.get((kind, subject))

    def note(self, kind: str, subject: str, observation: Observation) -> None:
        self._newest.pop((kind, subject), None)
        self._newest[kind, subject] = observation
        if len(self._newest) > self._most:
            del self._newest[next(iter(self._newest))]

    def forget(self, kind: str, subject: str) -> None:
        self._newest.pop((kind, subject), None)


NOTHING_SEEN: Seen = Observations(0)
