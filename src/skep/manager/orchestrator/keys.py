"""What the orchestrator looks at: a service, by its id, or one slot of it: `<service id>/<slot>`.

Nothing that happens in a slot of a service at peace concerns its other slots: a task that died gets
its successor whether there are three of them or a hundred thousand. Where slots wait for each other
(an update, tasks that move) the service is looked at as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from skep.manager.orchestrator import rebalance, update
from skep.model import defaults
from skep.model.service import Service
from skep.model.task import Task
from skep.store.change import View

_MOVES = frozenset({"drain", "rebalance"})


def key_of(task: Task, view: View) -> str:
    """What to look at when something happened to the task."""
    service = view.service(task.service_id)
    if service is None or task.origin in _MOVES or not has_slots_apart(service):
        return task.service_id
    return f"{task.service_id}/{task.slot}"


def has_slots_apart(service: Service) -> bool:
    """The service's slots can be looked at one by one."""
    status = service.update_status
    updating = status is not None and status.state in update.UNDER_WAY
    replicated = defaults.mode_name(service.spec) == "replicated"
    return replicated and not updating and not rebalance.asked_for(service)


def by_service(keys: Iterable[str], view: View) -> Mapping[str, list[int]]:
    """Which slots of which services are to be looked at; none of them means the whole service."""
    slots: defaultdict[str, list[int]] = defaultdict(list)
    whole: set[str] = set()
    for key in sorted(keys):
        service_id, _, slot = key.partition("/")
        service = view.service(service_id)
        if slot and service is not None and has_slots_apart(service):
            slots[service_id].append(int(slot))
        else:
            whole.add(service_id)
    return slots | {service_id: [] for service_id in whole}
