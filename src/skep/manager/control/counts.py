"""How far a service is: the numbers of `service ls`."""

from __future__ import annotations

from skep.model import defaults
from skep.model.service import Service, ServiceStatus
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import View


def status_of(view: View, service: Service) -> ServiceStatus:
    """Running: tasks that run and are wanted. Desired: replicas, or a global's wanted tasks.

    A task of a node that is down is not known to run (source: swarmkit
    manager/controlapi/service.go, ListServiceStatuses).
    """
    wanted = [
        task
        for task in view.tasks_of_service(service.id)
        if task.desired_state is TaskState.RUNNING and not _is_lost(view, task)
    ]
    running = sum(task.status.state is TaskState.RUNNING for task in wanted)
    desired = len(wanted) if defaults.is_global(service.spec) else defaults.replicas(service)
    return ServiceStatus(running_tasks=running, desired_tasks=desired)


def _is_lost(view: View, task: Task) -> bool:
    node = view.node(task.node_id) if task.node_id else None
    return node is not None and node.status.state == "down"
