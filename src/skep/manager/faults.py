"""Setting aside what cannot be planned, so that the rest is: an item's fault is its own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import timedelta

log = logging.getLogger(__name__)

_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=1), timedelta(seconds=64)


class Faults(dict[str, Exception]):
    """What went wrong, by the name of what it went wrong with."""

    def aside(self, name: str) -> _Aside:
        """What this block raises is noted under `name`, and the rest goes on."""
        return _Aside(self, name)


class _Aside:
    """A context manager. As a class, because a generator costs as much as what many blocks do."""

    __slots__ = ("_faults", "_name")

    def __init__(self, faults: Faults, name: str) -> None:
        self._faults = faults
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._faults[self._name] = error
        return True


class Troubles:
    """What one room cannot plan, while it cannot: said once with the traceback, not each second,
    and tried again ever more seldom (a change makes it be tried at once)."""

    def __init__(self, room: str) -> None:
        self._room = room
        self._errors: dict[str, str] = {}
        self._retries: dict[str, timedelta] = {}
        self._set_aside: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._errors

    def __len__(self) -> int:
        return len(self._errors)

    def note(self, name: str, error: Exception) -> timedelta:
        """After how long to try again."""
        said = f"{type(error).__name__}: {error}"
        if self._errors.get(name) != said:
            self._errors[name] = said
            log.error("%s cannot plan %s, trying again", self._room, name, exc_info=error)
        retry = self._retries.get(name, _FIRST_RETRY)
        self._retries[name] = min(2 * retry, _LAST_RETRY)
        return retry

    def planned(self, keys: Collection[str], faults: Mapping[str, Exception]) -> timedelta | None:
        """The keys were planned but for the faults. After how long to try those again, if any."""
        for name in [n for n in self._errors if n in keys or n in self._set_aside]:
            if name not in faults:
                self._forget(name)
        self._set_aside = set(faults)
        return min((self.note(name, error) for name, error in faults.items()), default=None)

    def _forget(self, name: str) -> None:
        log.info("%s plans %s again", self._room, name)
        del self._errors[name], self._retries[name]
