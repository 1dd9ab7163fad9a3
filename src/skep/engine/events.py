"""What happened on this node, for whoever asks: a bounded past and a live stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping

from skep.engine.filters import Filters, check_filters, has_labels
from skep.model.event import Event, make_event

_QUEUE_LENGTH = 2048
_KINDS = ("config", "container", "daemon", "image", "network", "node", "plugin", "secret",
          "service", "volume")  # fmt: skip
_KNOWN = frozenset({*_KINDS, "event", "label", "scope", "type"})


class Events:
    """The last events (a ring), and subscribers that each have a bounded queue.

    A subscriber that falls behind loses the oldest ones, never holds up anybody.
    """

    def __init__(self, history: int = 1024) -> None:
        self._past: deque[Event] = deque(maxlen=history)
        self._subscribers: set[_Subscriber] = set()

    def emit(
        self,
        kind: str,
        action: str,
        actor_id: str,
        attributes: Mapping[str, str] | None = None,
        scope: str = "local",
    ) -> None:
        """Tell everybody, now. `kind` is container, image, volume, network, service, node, …"""
        event = make_event(kind, action, actor_id, dict(attributes or {}), time.time_ns(), scope)
        self._past.append(event)
        for subscriber in self._subscribers:
            subscriber.put(event)

    def stream(
        self,
        filters: Filters | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[Event]:
        """Events from `since` on (seconds since 1970; None: from now), until `until` (None: for
        ever). Filters: container, daemon, event, image, label, network, node, scope, service, type,
        volume… Subscribed when this returns. InvalidArgument for a filter that is unknown.
        """
        wanted = check_filters(filters, _KNOWN)
        subscriber = _Subscriber(self._past if since is not None else ())
        self._subscribers.add(subscriber)
        return self._follow(subscriber, wanted, since or 0.0, until)

    async def _follow(
        self,
        subscriber: _Subscriber,
        wanted: Mapping[str, Collection[str]],
        since: float,
        until: float | None,
    ) -> AsyncIterator[Event]:
        try:
            async for event in subscriber.read(until):
                if event.time_nano >= since * 1e9 and matches(event, wanted):
                    yield event
        finally:
            self._subscribers.discard(subscriber)


class _Subscriber:
    def __init__(self, past: Collection[Event]) -> None:
        self._waiting = deque(past, maxlen=_QUEUE_LENGTH)
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        self._waiting.append(event)
        self._news.set()

    async def read(self, until: float | None) -> AsyncIterator[Event]:
        """Ends when the wall clock reaches `until`."""
        while True:
            self._news.clear()
            while self._waiting:
                event = self._waiting.popleft()
                if until is not None and event.time_nano > until * 1e9:
                    return
                yield event
            left_s = None if until is None else until - time.time()
            if left_s is not None and left_s <= 0:
                return
            try:
                async with asyncio.timeout(left_s):
                    await self._news.wait()
            except TimeoutError:
                return


def matches(event: Event, wanted: Mapping[str, Collection[str]]) -> bool:
    """Whether an event passes docker's filters (checked by the caller)."""
    names = {event.actor.id, event.actor.attributes.get("name", "")}
    for key, values in wanted.items():
        if key == "event":
            passes = any(event.action == v or event.action.startswith(f"{v}:") for v in values)
        elif key == "type":
            passes = event.type in values
        elif key == "scope":
            passes = event.scope in values
        elif key == "label":
            passes = has_labels(event.actor.attributes, values)
        else:
            passes = event.type == key and any(_names(value, names) for value in values)
            if key == "image" and event.type == "container":
                passes = event.from_ in values
        if not passes:
            return False
    return True


def _names(value: str, names: Collection[str]) -> bool:
    return any(name and (name == value or name.startswith(value)) for name in names)
