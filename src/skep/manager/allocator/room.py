"""The allocator: subnets for networks, ports and virtual addresses for services, addresses for
tasks. A task that has all it needs goes from NEW to PENDING.

What cannot be given is said on the task (`status.err`), and tried again whenever something is
freed or made. (Swarm keeps silent here: moby#25558.)
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from msgspec.structs import replace

from skep.manager.allocator import endpoints, networks
from skep.manager.allocator.ledger import (
    Allocations,
    needs_allocation,
    task_addresses,
    waits_for_addresses,
)
from skep.manager.allocator.refused import CannotAllocate
from skep.manager.counting import CountingRoom
from skep.manager.faults import Faults
from skep.manager.room import Plan
from skep.manager.slices import share
from skep.model.cluster import Cluster
from skep.model.network import Network
from skep.model.service import EndpointSpec, Service
from skep.model.states import TaskState
from skep.model.task import NetworkAttachment, NetworkName, NetworkRef, Task, TaskStatus, task_name
from skep.store.change import Event, Stored, Update, View

_NO_ENDPOINT = EndpointSpec()


class Allocator(CountingRoom[Allocations]):
    """The room."""

    name = "allocator"

    def count(self, view: View) -> Allocations:
        return Allocations.of(view)

    def may_help(self, event: Event) -> bool:
        return _may_help(event)

    def decide(self, ledger: Allocations, view: View, now: datetime) -> tuple[Plan, bool]:
        return _Attempt(ledger, view, now).plan()


def _may_help(event: Event) -> bool:
    """Something new asks, or something was given back."""
    old, new = event.old, event.new
    if isinstance(old, Task) or isinstance(new, Task):
        return _asks(old, new) or _frees(old, new)
    return isinstance(new, Service | Network | Cluster) or isinstance(old, Service | Network)


def _asks(old: Stored | None, new: Stored | None) -> bool:
    asked = isinstance(old, Task) and waits_for_addresses(old)
    return isinstance(new, Task) and waits_for_addresses(new) and not asked


def _frees(old: Stored | None, new: Stored | None) -> bool:
    if not isinstance(old, Task) or old.status.state.dead or not any(task_addresses(old)):
        return False
    return not isinstance(new, Task) or new.status.state.dead


class _Attempt:
    """One plan in the making. What it gives stands in the ledger until the plan is made."""

    def __init__(self, ledger: Allocations, view: View, now: datetime) -> None:
        self._ledger = ledger
        self._view = view
        self._pending = TaskStatus(
            timestamp=now, state=TaskState.PENDING, message="pending task scheduling"
        )
        self._done: list[tuple[Stored, Stored]] = []
        self._more = False
        self._explanations: list[str] = []
        self._faults = Faults(ledger.faults)
        self._services: dict[str, Service] = {}
        self._refusals: dict[str, str] = {}
        """Sentences by the id of the network or service that got nothing."""

    def plan(self) -> tuple[Plan, bool]:
        try:
            self._plan_networks()
            self._plan_services()
            self._plan_tasks()
        finally:
            for old, new in reversed(self._done):
                self._ledger.replace(new, old)
        updates = tuple(Update(new) for _, new in self._done)
        plan = Plan(updates, tuple(self._explanations), faults=self._faults)
        return plan, self._more

    def _plan_networks(self) -> None:
        """The ingress network first: it has always had the first subnet of the pool."""
        everyone = self._ledger.networks
        waiting = self._ledger.open_networks.values()
        for network in sorted(waiting, key=lambda net: (not net.spec.ingress, _age(net))):
            with self._faults.aside(f"network {network.id}"):
                others = [other for other in everyone.values() if other.id != network.id]
                self._plan_network(network, others)

    def _plan_network(self, network: Network, others: list[Network]) -> None:
        try:
            allocated = networks.allocate(
                network, others, self._view.cluster(), self._ledger.left_behind
            )
        except CannotAllocate as refused:
            self._refuse(network.id, str(refused))
        else:
            self._write(network, allocated)

    def _plan_services(self) -> None:
        """Ports that were named before ports that we choose: no choice may take a named one."""
        waiting = self._ledger.open_services.values()
        for service in sorted(waiting, key=lambda s: (endpoints.chooses_ports(s), _age(s))):
            with self._faults.aside(f"service {service.id}"):
                self._plan_service(service)

    def _plan_service(self, service: Service) -> None:
        try:
            endpoint = endpoints.allocate(service, self._ledger, self._network, self._take)
        except CannotAllocate as refused:
            self._refuse(service.id, str(refused))
            return
        if endpoint == service.endpoint:
            del self._ledger.open_services[service.id]
        else:
            changed = replace(service, endpoint=endpoint)
            self._services[service.id] = changed
            self._write(service, changed)

    def _plan_tasks(self) -> None:
        """Of each service a share, so that no large one keeps others waiting."""
        tasks = sorted(self._ledger.new_tasks.values(), key=lambda t: (t.service_id, t.slot, t.id))
        most = share(len({task.service_id for task in tasks}))
        for _, of_service in groupby(tasks, key=lambda task: task.service_id):
            end = len(self._done) + most
            for task in of_service:
                if len(self._done) >= end:
                    self._more = True
                    break
                with self._faults.aside(f"task {task.id}"):
                    self._plan_task(task)

    def _plan_task(self, task: Task) -> None:
        service = self._services.get(task.service_id) or self._view.service(task.service_id)
        if service is None:
            return
        try:
            self._write(task, self._allocated(task, service))
        except CannotAllocate as refused:
            self._say_why(task, str(refused))

    def _allocated(self, task: Task, service: Service) -> Task:
        if service.id in self._refusals:
            raise CannotAllocate(self._refusals[service.id])
        ports = endpoints.resolved((task.endpoint_spec or _NO_ENDPOINT).ports, service.endpoint)
        joined = endpoints.networks_of(task.spec.networks, ports, self._network)
        return replace(
            task,
            status=self._pending,
            networks_attachments=[self._attachment(net, aliases) for net, aliases in joined],
            ports=ports,
        )

    def _attachment(self, network: Network, aliases: list[str]) -> NetworkAttachment:
        """An address on an overlay; the host's own networks give theirs on the node."""
        return NetworkAttachment(
            network=NetworkRef(id=network.id, spec=NetworkName(name=network.spec.name)),
            addresses=[self._take(network)] if network.spec.driver == "overlay" else [],
            aliases=aliases,
        )

    def _say_why(self, task: Task, reason: str) -> None:
        """Once: an unchanged reason is no news."""
        if task.status.err != reason:
            self._write(task, replace(task, status=replace(task.status, err=reason)))
            self._explanations.append(f"task {task_name(task)}: {reason}")

    def _network(self, target: str) -> Network:
        """By id; "" is the ingress network. Raises Refused when it is not there or not ready."""
        network = self._ledger.networks.get(target) if target else self._ledger.ingress
        if network is None:
            raise CannotAllocate(f"the {target or 'ingress'} network is missing: create it again")
        if needs_allocation(network):
            unknown = f"network {network.spec.name} has no subnet yet"
            raise CannotAllocate(self._refusals.get(network.id, unknown))
        return network

    def _take(self, network: Network) -> str:
        exhausted = self._refusals.get(network.id)
        if exhausted is not None:
            raise CannotAllocate(exhausted)
        address = self._ledger.on_network(network.id).choose()
        if address is None:
            subnets = ", ".join(config.subnet for config in network.ipam.config)
            reason = (
                f"network {network.spec.name} has no free address left in {subnets}: "
                "remove tasks, or use a network with a larger subnet"
            )
            self._refuse(network.id, reason)
            raise CannotAllocate(reason)
        return address

    def _refuse(self, object_id: str, reason: str) -> None:
        self._refusals[object_id] = reason
        self._explanations.append(reason)

    def _write(self, old: Stored, new: Stored) -> None:
        self._ledger.replace(old, new)
        self._done.append((old, new))


def _age(stored: Service | Network) -> tuple[datetime, str]:
    return (stored.created_at, stored.id)
