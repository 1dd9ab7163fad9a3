"""What happened on this node, for whoever asks: a bounded past and a live stream."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping

from skep.engine.filters import Filters, check_filters
from skep.kit.labels import has_labels
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
        self._subscribers: set[EventStream] = set()

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
    ) -> EventStream:
        """Events from `since` on (seconds since 1970; None: from now), until `until` (None: for
        ever). Filters: container, daemon, event, image, label, network, node, scope, service, type,
        volume… Subscribed when this returns, until its `aclose`. InvalidArgument for a filter that
        is unknown.
        """
        wanted = check_filters(filters, _KNOWN)
        past = () if since is None else self._past
        stream = EventStream(past, wanted, since or 0.0, until, self._subscribers.discard)
        self._subscribers.add(stream)
        return stream


class EventStream:
    """What one asker hears, from now on; whoever asked closes it, read or not."""

    def __init__(
        self,
        past: Collection[Event],
        wanted: Mapping[str, Collection[str]],
        since: float,
        until: float | None,
        forget: Callable[[EventStream], None],
    ) -> None:
        self._waiting = deque(past, maxlen=_QUEUE_LENGTH)
        self._news = asyncio.Event()
        self._wanted = wanted
        self._since = since
        self._until = until
        self._forget = forget

    def put(self, event: Event) -> None:
        self._waiting.append(event)
        self._news.set()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while event := await self._next():
            if event.time_nano >= self._since * 1e9 and matches(event, self._wanted):
                return event
        await self.aclose()
        raise StopAsyncIteration

    async def _next(self) -> Event | None:
        """None when the wall clock has reached the end that was asked for."""
        while not self._waiting:
            left_s = None if self._until is None else self._until - time.time()
            if left_s is not None and left_s <= 0:
                return None
            self._news.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._news.wait()
            except TimeoutError:
                return None
        event = self._waiting.popleft()
        is_late = self._until is not None and event.time_nano > self._until * 1e9
        return None if is_late else event

    async def aclose(self) -> None:
        """Hear nothing more."""
        self._forget(self)
        self._waiting.clear()


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
