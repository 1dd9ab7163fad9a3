"""What happened on this node, for whoever asks: a bounded past and a live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

from skep.model.event import Event

Filters = Mapping[str, Collection[str]]
"""An API `filters` parameter, decoded: key -> wanted values."""


class Events:
    """The last events (a ring), and subscribers that each have a bounded queue.

    A subscriber that falls behind loses the oldest ones, never holds up anybody.
    """

    def emit(
        self,
        kind: str,
        action: str,
        actor_id: str,
        attributes: Mapping[str, str] | None = None,
        scope: str = "local",
    ) -> None:
        """Tell everybody, now. `kind` is container, image, volume, network, service, node, …"""
        raise NotImplementedError

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
        raise NotImplementedError
