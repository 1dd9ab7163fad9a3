"""What a deciding room is, for the one loop that drives all of them.

A room is a pure function with two words about when to call it. It keeps no state that decides:
whatever it must remember stands in the objects, so a new leader plans as the old one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from skep.store.change import Event, Plan, View

NewId = Callable[[], str]


class Room(Protocol):
    """Orchestrator, updater, allocator, scheduler, reaper: each is one of these."""

    @property
    def name(self) -> str:
        """For the log: "orchestrator", "scheduler"…"""
        ...

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        """The keys (a service id, a node id: the room's own choice) that this event concerns."""
        ...

    def everything(self, view: View) -> Iterable[str]:
        """All keys: what to plan when a manager starts or becomes leader."""
        ...

    def plan(self, view: View, keys: frozenset[str], now: datetime, new_id: NewId) -> Plan:
        """Look at the keys and decide. No I/O, no clock, no chance that is not an argument.

        The loop commits the plan whole; if it is refused (somebody else wrote meanwhile), the same
        keys are planned again on the newer view.
        """
        ...
