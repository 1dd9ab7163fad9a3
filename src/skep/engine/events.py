"""What happened on this node."""

from __future__ import annotations

import time
from collections.abc import Mapping

from skep.kit.history import Followed, History, follow
from skep.kit.where import Where, anything
from skep.model.event import Event, make_event


class Events(History[Event, Event]):
    """The node's last events, in docker's words."""

    def __init__(self, history: int = 1024) -> None:
        super().__init__(lambda event, _: event, history)

    def emit(
        self,
        kind: str,
        action: str,
        actor_id: str,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Tell everybody, now. `kind` is container, image, volume or network."""
        now_ns = time.time_ns()
        self.add(make_event(kind, action, actor_id, dict(attributes or {}), now_ns), now_ns)

    def stream(self, where: Where[Event] = anything) -> Followed[Event]:
        """Events from now on, until its `aclose`."""
        return follow([self], where)
