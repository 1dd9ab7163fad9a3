"""What a deciding room is, for the one loop that drives all of them.

A room is a pure function with two words about when to call it. It keeps no state that decides:
whatever it must remember stands in the objects, so a new leader plans as the old one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from skep.manager.observations import Seen
from skep.model.task import Task
from skep.store.change import Change, Event, View

NewId = Callable[[], str]


class Plan(msgspec.Struct, frozen=True):
    """What a deciding room wants: changes to commit together, and when to look again.

    `wake` maps a dirty key to the moment at which that key should be planned again though nothing
    changed. `explanations` are sentences for the log; the causes of changes travel in `Change.why`
    and in the objects. `faults` are what was left out because planning it went wrong, by name.

    `rest` has, by key, the changes of a large plan that are too many for one commit: they are made
    as they are committed, a slice at a time, each a commit of its own. As soon as the key is looked
    at again, its rest is forgotten: the new look finds what is still to be done.
    """

    changes: tuple[Change, ...] = ()
    explanations: tuple[str, ...] = ()
    wake: dict[str, datetime] = {}
    faults: Mapping[str, Exception] = {}
    rest: Mapping[str, Iterator[Change]] = {}


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

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        """Look at the keys and decide. No I/O, no clock, no chance that is not an argument.

        `seen` is what was observed lately. It may be lost at any moment, so a room that heeds it
        must plan sensibly without; and it makes no key dirty: such a room says in `wake` when to
        look again.

        The loop commits the plan whole; if it is refused (somebody else wrote meanwhile), the same
        keys are planned again on the newer view.
        """
        ...


@runtime_checkable
class Successor(Protocol):
    """A room that can look at tasks before they are stored, so that what it decides about them
    needs no commit of its own."""

    def plan_born(self, view: View, born: Sequence[Task], now: datetime) -> Plan:
        """What the room would plan if these tasks were there too: updates, of them and of others.

        To be committed with them, or not at all: then they are planned when they are there.
        """
        ...
