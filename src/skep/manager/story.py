"""The story of a cluster: what its commits changed, told as events.

`told` is a pure function of one change, so whoever follows the store can tell the story, whether or
not it leads. Services, nodes and networks are told with the attributes that Swarm gives them
(source: moby daemon/events.go; compared with dockerd 20.10 in swarm mode). Tasks are told besides,
with state, cause and node, which Swarm does not do; they have a history of their own, so that many
tasks do not push out what happened to the services.
"""

from __future__ import annotations

import logging
import time

from skep.kit.history import History
from skep.model import defaults
from skep.model.event import Event, make_event
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task, task_name
from skep.store.change import Commit, Stored
from skep.store.change import Event as Changed
from skep.store.store import Store
from skep.store.watch import Lagged

log = logging.getLogger(__name__)


class Story:
    """What happened since this manager runs: `events` of the cluster, and `tasks` apart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.events: History[Changed, Event] = History(told)
        self.tasks: History[Changed, Event] = History(told)

    async def run(self) -> None:
        """Listen to the store until cancelled."""
        while True:
            watch = self._store.watch()
            try:
                async for commit in watch:
                    self.hear(commit, time.time_ns())
            except Lagged:
                log.warning("the story of the cluster has a gap: too much happened at once")
            finally:
                watch.close()

    def hear(self, commit: Commit, now_ns: int) -> None:
        for changed in commit.events:
            if changed.kind == "task":
                self.tasks.add(changed, now_ns)
            elif changed.kind in ("service", "node", "network"):
                self.events.add(changed, now_ns)


def told(changed: Changed, now_ns: int) -> Event | None:
    """The event that tells of a change; None for what is no news."""
    old, new = changed.old, changed.new
    match new or old:
        case Service() as thing:
            attributes = {"name": thing.spec.name} | _of_service(old, new)
        case Node() as thing:
            attributes = {"name": thing.spec.name or thing.description.hostname}
            attributes |= _of_node(old, new)
        case Network() as thing:
            attributes = {"name": thing.spec.name}
        case Task() as thing:
            news = _of_task(old, new, changed.why)
            if not news:
                return None
            attributes = _about_task(thing) | news
        case _:
            return None
    return make_event(changed.kind, changed.action, thing.id, attributes, now_ns, scope="swarm")


def _of_service(old: Stored | None, new: Stored | None) -> dict[str, str]:
    """An update's new image, number of replicas, and how far it is."""
    if not (isinstance(old, Service) and isinstance(new, Service)):
        return {}
    changes: dict[str, str] = {}
    before, after = old.spec, new.spec
    container, was = after.task_template.container_spec, before.task_template.container_spec
    if container is not None and was is not None:
        changes |= _change("image", was.image, container.image)
    if before.mode.replicated is not None and after.mode.replicated is not None:
        changes |= _change("replicas", defaults.replicas(before), defaults.replicas(after))
    if new.update_status is not None:
        was_update = old.update_status
        if was_update is None:
            changes["updatestate.new"] = new.update_status.state
        else:
            changes |= _change("updatestate", was_update.state, new.update_status.state)
    return changes


def _of_node(old: Stored | None, new: Stored | None) -> dict[str, str]:
    if not (isinstance(old, Node) and isinstance(new, Node)):
        return {}
    changes = _change("availability", old.spec.availability, new.spec.availability)
    changes |= _change("role", old.certificate_role, new.certificate_role)
    changes |= _change("state", old.status.state, new.status.state)
    before, after = old.manager_status, new.manager_status
    if before is not None and after is not None:
        changes |= _change("leader", str(before.leader).lower(), str(after.leader).lower())
        changes |= _change("reachability", before.reachability, after.reachability)
    return changes


def _about_task(task: Task) -> dict[str, str]:
    about = {
        "name": task_name(task),
        "service": task.service_annotations.name,
        "service.id": task.service_id,
        "slot": str(task.slot) if task.slot else "",
        "node.id": task.node_id,
    }
    return {key: value for key, value in about.items() if value}


def _of_task(old: Stored | None, new: Stored | None, why: str) -> dict[str, str]:
    """What is new of a task; empty when nothing is that people ask for."""
    if not isinstance(new, Task):
        return {"cause": why} if isinstance(old, Task) else {}
    if not isinstance(old, Task):
        born = {"state.new": new.status.state, "desired.new": new.desired_state}
        return born | {"origin": new.origin, "cause": new.cause}
    changes = _change("state", old.status.state, new.status.state)
    changes |= _change("desired", old.desired_state, new.desired_state)
    if old.node_id != new.node_id:
        changes["cause"] = new.cause
    if old.desired_state is not new.desired_state:
        changes["cause"] = new.cause_of_end
    if new.status.err != old.status.err:
        changes["error"] = new.status.err
    container = new.status.container_status
    if changes and new.status.state.dead and container is not None:
        changes["exitCode"] = str(container.exit_code)
    return changes


def _change(name: str, old: object, new: object) -> dict[str, str]:
    return {} if old == new else {f"{name}.old": str(old), f"{name}.new": str(new)}
