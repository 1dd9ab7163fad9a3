"""The allocator's running account: addresses, ports, VXLAN numbers, and what waits for them.

Counted from stored objects; `Ledger.of(view)` and a ledger that was told every event allocate the
same (a property test says so).
"""

from __future__ import annotations

from collections.abc import Iterator

from skep.manager.allocator.addresses import Addresses, bare
from skep.manager.faults import Faults
from skep.model.network import Network
from skep.model.service import PortConfig, Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Event, Stored, View
from skep.store.kinds import kind_of

PortKey = tuple[str, int]
"""Protocol and number of a port that is published on every node."""


class Allocations:
    """What is taken, by whom; and the ids of what may still need something."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.addresses: dict[str, Addresses] = {}
        self.ports: dict[PortKey, str] = {}
        self.networks: dict[str, Network] = {}
        self.open_networks: dict[str, Network] = {}
        self.open_services: dict[str, Service] = {}
        self.new_tasks: dict[str, Task] = {}

    @classmethod
    def of(cls, view: View) -> Allocations:
        """Counted afresh."""
        ledger = cls()
        for kind in (view.networks(), view.services(), view.tasks()):
            for stored in kind:
                with ledger.faults.aside(f"{kind_of(stored).name} {stored.id}"):
                    ledger._add(stored)
        return ledger

    def note(self, event: Event) -> None:
        """Follow one applied change. Most are steps of tasks that have all they need."""
        old, new = event.old, event.new
        if not (isinstance(old, Task) and isinstance(new, Task) and _asks_the_same(old, new)):
            self.replace(old, new)

    def replace(self, old: Stored | None, new: Stored | None) -> None:
        """`new` stands where `old` stood. Undone by the same with the arguments exchanged."""
        if old is not None:
            self._remove(old)
        if new is not None:
            self._add(new)

    @property
    def has_work(self) -> bool:
        return bool(self.open_networks or self.open_services or self.new_tasks)

    def on_network(self, network_id: str) -> Addresses:
        found = self.addresses.get(network_id)
        if found is None:
            found = self.addresses[network_id] = Addresses()
        return found

    @property
    def ingress(self) -> Network | None:
        return next((net for net in self.networks.values() if net.spec.ingress), None)

    @property
    def left_behind(self) -> list[str]:
        """Addresses of tasks that still run on networks that are no more."""
        return [
            address
            for network_id, pool in self.addresses.items()
            if network_id not in self.networks
            for address in pool.held
        ]

    def _add(self, stored: Stored) -> None:
        if isinstance(stored, Network):
            self.networks[stored.id] = stored
            if needs_allocation(stored):
                self.open_networks[stored.id] = stored
            self.on_network(stored.id).set_network(stored)
        elif isinstance(stored, Service):
            self.open_services[stored.id] = stored
            for network_id, address in _virtual_addresses(stored):
                self.on_network(network_id).hold(address)
            for port in ingress_ports(stored.endpoint.ports):
                self.ports.setdefault(port, stored.id)
        elif isinstance(stored, Task):
            self._add_task(stored)

    def _remove(self, stored: Stored) -> None:
        if isinstance(stored, Network):
            self.networks.pop(stored.id, None)
            self.open_networks.pop(stored.id, None)
            self.on_network(stored.id).set_network(None)
            self._tidy(stored.id)
        elif isinstance(stored, Service):
            self.open_services.pop(stored.id, None)
            for network_id, address in _virtual_addresses(stored):
                self.on_network(network_id).release(address)
                self._tidy(network_id)
            for port in ingress_ports(stored.endpoint.ports):
                if self.ports.get(port) == stored.id:
                    del self.ports[port]
        elif isinstance(stored, Task):
            self._remove_task(stored)

    def _add_task(self, task: Task) -> None:
        if waits_for_addresses(task):
            self.new_tasks[task.id] = task
        for network_id, address in task_addresses(task):
            pool = self.on_network(network_id)
            (pool.remember if task.status.state.dead else pool.hold)(address)

    def _remove_task(self, task: Task) -> None:
        self.new_tasks.pop(task.id, None)
        for network_id, address in task_addresses(task):
            pool = self.on_network(network_id)
            (pool.forget if task.status.state.dead else pool.release)(address)
            self._tidy(network_id)

    def _tidy(self, network_id: str) -> None:
        if not self.addresses[network_id].in_use:
            del self.addresses[network_id]


def needs_allocation(network: Network) -> bool:
    """Overlays get a subnet and a number; a node's own networks (host, bridge) get nothing."""
    return network.spec.driver == "overlay" and not network.vni


def waits_for_addresses(task: Task) -> bool:
    return task.status.state is TaskState.NEW and task.desired_state <= TaskState.COMPLETE


def _asks_the_same(old: Task, new: Task) -> bool:
    """What the task has and wants of us is what it had and wanted."""
    return (
        old.status.state is not TaskState.NEW
        and new.status.state is not TaskState.NEW
        and old.networks_attachments == new.networks_attachments
        and old.status.state.dead is new.status.state.dead
    )


def task_addresses(task: Task) -> Iterator[tuple[str, str]]:
    """(network id, address) for each address that the task was given."""
    for attachment in task.networks_attachments:
        for address in attachment.addresses:
            yield attachment.network.id, bare(address)


def ingress_ports(ports: list[PortConfig]) -> Iterator[PortKey]:
    for port in ports:
        if port.publish_mode == "ingress" and port.published_port:
            yield port.protocol, port.published_port


def _virtual_addresses(service: Service) -> Iterator[tuple[str, str]]:
    for vip in service.endpoint.virtual_ips:
        yield vip.network_id, bare(vip.addr)
