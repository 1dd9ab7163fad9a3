"""How far a service is: the numbers of `service ls`."""

from __future__ import annotations

from skep.model import defaults
from skep.model.service import Service, ServiceStatus
from skep.store.change import View


def status_of(view: View, service: Service) -> ServiceStatus:
    """Running: tasks that run and are wanted. Desired: replicas, or a global's wanted tasks.

    A task of a node that is down is not known to run (source: swarmkit
    manager/controlapi/service.go, ListServiceStatuses).
    """
    progress = {
        (node_id, runs): number
        for (node_id, runs), number in view.progress_of_service(service.id).items()
        if not _is_down(view, node_id)
    }
    running = sum(number for (_, runs), number in progress.items() if runs)
    is_global = defaults.is_global(service.spec)
    desired = sum(progress.values()) if is_global else defaults.replicas(service)
    return ServiceStatus(running_tasks=running, desired_tasks=desired)


def _is_down(view: View, node_id: str) -> bool:
    node = view.node(node_id) if node_id else None
    return node is not None and node.status.state == "down"
