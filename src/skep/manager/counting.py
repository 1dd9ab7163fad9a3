"""Rooms whose decision needs a sum over everything: what is taken, what waits.

They keep the sum in a ledger that follows the events, instead of counting afresh for every plan.
It decides nothing: a room without one, or with one of another moment, counts, to the same end.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from msgspec.structs import replace

from skep.manager.faults import Faults
from skep.manager.observations import Seen
from skep.manager.room import NewId, Plan
from skep.model.task import Task
from skep.store.change import Event, View

log = logging.getLogger(__name__)

_ALL = "what waits"
"""The only key: what one is given changes what is left for the others."""


class Countable(Protocol):
    faults: Faults
    """What could not be counted, and is not."""

    @property
    def has_work(self) -> bool:
        """Whether anything waits."""
        ...

    def note(self, event: Event) -> None:
        """Follow one applied change."""
        ...


L = TypeVar("L", bound=Countable)


class CountingRoom(ABC, Generic[L]):
    """A `Room`. Those below say how to count, what may help who waits, and how to decide."""

    def __init__(self) -> None:
        self._ledger: L | None = None
        self._view: View | None = None
        self._revision = -1

    @abstractmethod
    def count(self, view: View) -> L: ...

    @abstractmethod
    def may_help(self, event: Event) -> bool: ...

    @abstractmethod
    def decide(self, ledger: L, view: View, now: datetime) -> tuple[Plan, bool]:
        """A slice of what is to be decided (`slices.py`), and whether there is more.

        What it takes from the ledger it gives back: the plan may not come to be.
        """

    def everything(self, view: View) -> Iterable[str]:
        self._keep(self.count(view), view)
        return (_ALL,)

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        ledger = self._ledger
        if ledger is None:
            return (_ALL,)
        try:
            ledger.note(event)
            news = ledger.has_work and self.may_help(event)
        except Exception:
            log.exception("a change of %s cannot be followed: counting afresh", event.kind)
            self._ledger = None
            return (_ALL,)
        self._view, self._revision = view, view.revision
        return (_ALL,) if news else ()

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        """Where no ledger is kept, one that is counted here is: every event before the view's
        revision was told, so it can follow from here."""
        if self._ledger is not None and not self._is_in_step(view):
            return _with_more(*self.decide(self.count(view), view, now), now)
        ledger = self.count(view) if self._ledger is None else self._ledger
        self._ledger = None  # until all is given back
        plan, more = self.decide(ledger, view, now)
        self._keep(ledger, view)
        return _with_more(plan, more, now)

    def plan_born(self, view: View, born: Sequence[Task], now: datetime) -> Plan:
        """Nothing where no ledger of this moment is kept."""
        ledger = self._ledger
        if ledger is None or not self._is_in_step(view):
            return Plan()
        self._ledger = None  # until all is given back
        for task in born:
            ledger.note(Event("task", "create", None, task))
        plan, _ = self.decide(ledger, view, now)
        for task in born:
            ledger.note(Event("task", "remove", task, None))
        self._keep(ledger, view)
        return plan

    def _is_in_step(self, view: View) -> bool:
        return self._view is view and self._revision == view.revision

    def _keep(self, ledger: L, view: View) -> None:
        """Not where something could not be counted: it would be missed when it goes."""
        self._ledger = None if ledger.faults else ledger
        self._view, self._revision = view, view.revision


def _with_more(plan: Plan, more: bool, now: datetime) -> Plan:
    return replace(plan, wake={_ALL: now}) if more else plan
