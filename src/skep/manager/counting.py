"""Rooms whose decision needs a sum over everything: what is taken, what waits.

They keep the sum in a ledger that follows the events, instead of counting afresh for every plan.
It decides nothing: a room without one, or with one of another moment, counts, to the same end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from skep.manager.room import NewId
from skep.store.change import Event, Plan, View

_ALL = "what waits"
"""The only key: what one is given changes what is left for the others."""


class Ledger(Protocol):
    @property
    def has_work(self) -> bool:
        """Whether anything waits."""
        ...

    def note(self, event: Event) -> None:
        """Follow one applied change."""
        ...


L = TypeVar("L", bound=Ledger)


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
    def decide(self, ledger: L, view: View, now: datetime) -> Plan:
        """What it takes from the ledger it gives back: the plan may not come to be."""

    def everything(self, view: View) -> Iterable[str]:
        self._ledger = self.count(view)
        self._view, self._revision = view, view.revision
        return (_ALL,)

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        if self._ledger is None:
            return (_ALL,)
        self._ledger.note(event)
        self._view, self._revision = view, view.revision
        return (_ALL,) if self._ledger.has_work and self.may_help(event) else ()

    def plan(self, view: View, keys: frozenset[str], now: datetime, new_id: NewId) -> Plan:
        known = self._view is view and self._revision == view.revision
        ledger = self._ledger if known and self._ledger is not None else self.count(view)
        return self.decide(ledger, view, now)
