"""What a deciding room is, for the one loop that drives all of them.

A room is a pure function with two words about when to call it. It keeps no state that decides:
whatever it must remember stands in the objects, so a new leader plans as the old one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from skep.store.change import Change, Event, View

NewId = Callable[[], str]


class Plan(msgspec.Struct, frozen=True):
    """What a deciding room wants: changes to commit together, and when to look again.

    `wake` maps a dirty key to the moment at which that key should be planned again though nothing
    changed. `explanations` are sentences for the log; the causes of changes travel in `Change.why`
    and in the objects. `faults` are what was left out because planning it went wrong, by name.
    """

    changes: tuple[Change, ...] = ()
    explanations: tuple[str, ...] = ()
    wake: dict[str, datetime] = {}
    faults: Mapping[str, Exception] = {}


class Room(Protocol):
    """Orchestrator, allocator, scheduler, reaper, root rotation: each is one of these."""

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
