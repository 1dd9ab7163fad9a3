"""What happened: on this node and, on a manager, in the cluster, as one story in order of time."""

from __future__ import annotations

from typing import Any

from skep.kit.history import Followed, History, follow
from skep.kit.where import Where, anything
from skep.model.event import Event
from skep.node.node import Node


def events(
    node: Node,
    where: Where[Event] = anything,
    *,
    tasks: bool = False,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Followed[Event]:
    """Events of the node and of the cluster that it manages now; of tasks only when these are
    asked for. Times as `skep.kit.history.follow` has them.

    Followed when this returns, until its `aclose`.
    """
    histories: list[History[Any, Event]] = [node.engine.events]
    if (control := node.control) is not None:
        histories.append(control.story.events)
        if tasks:
            histories.append(control.story.tasks)
    return follow(histories, where, since_ns=since_ns, until_ns=until_ns)
