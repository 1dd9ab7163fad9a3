"""Over any history nothing has two holders, and an account that was kept is a fresh one."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from skep.manager.allocator import Allocator
from skep.manager.observations import NOTHING_SEEN
from skep.model.cluster import Cluster
from skep.model.network import Network, NetworkSpec
from skep.model.service import EndpointSpec, NetworkAttachmentConfig, PortConfig, Service
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.store.change import Action, Delete, Event, Stored
from skep.store.kinds import kind_of
from skep.store.memory import MemoryView
from skep.testing.builders import at, ids, service, task, view

NAMES = st.sampled_from("abc")
NETWORKS = st.sampled_from(["n1", "n2", "ingress"])


class AllocatorHistory(RuleBasedStateMachine):
    """People and agents do things in any order; the allocator plans now and then."""

    def __init__(self) -> None:
        super().__init__()
        pool = Cluster(id="c", default_addr_pool=["10.8.0.0/27"], subnet_size=29)
        self.seen = view(pool)
        self.room = Allocator()
        self.keys = frozenset(self.room.everything(self.seen))
        self.born = 0

    def write(self, old: Stored | None, new: Stored | None) -> None:
        this = new or old
        assert this is not None
        revision = self.seen.revision + 1
        action: Action = "update" if old and new else "create" if new else "remove"
        event = Event(kind_of(this).name, action, old, new)
        self.seen.apply(revision, [event])
        self.room.dirty(event, self.seen)

    @rule(name=NETWORKS)
    def make_network(self, name: str) -> None:
        if self.seen.network_named(name) is None:
            self.born += 1
            spec = NetworkSpec(name=name, ingress=name == "ingress")
            self.write(None, Network(id=f"{name}-{self.born}", spec=spec))

    @rule(name=NETWORKS)
    def drop_network(self, name: str) -> None:
        net = self.seen.network_named(name)
        if net and not any(net.id in _networks_of(of, net) for of in self.seen.services()):
            self.write(net, None)

    @rule(name=NAMES, on=st.sampled_from(["", "n1", "n2"]), port=st.sampled_from([None, 0, 80]))
    def want_service(self, name: str, on: str, port: int | None) -> None:
        old = self.seen.service(name)
        bare = old or service(1, name=name)
        net = self.seen.network_named(on)
        networks = [NetworkAttachmentConfig(target=net.id)] if net else []
        ports = [] if port is None else [PortConfig(target_port=1, published_port=port)]
        spec = replace(
            bare.spec,
            task_template=replace(bare.spec.task_template, networks=networks),
            endpoint_spec=EndpointSpec(ports=ports),
        )
        self.write(old, replace(bare, spec=spec))

    @rule(name=NAMES)
    def drop_service(self, name: str) -> None:
        if old := self.seen.service(name):
            self.write(old, None)

    @rule(name=NAMES)
    def make_task(self, name: str) -> None:
        if of := self.seen.service(name):
            self.born += 1
            self.write(None, task(f"t{self.born}", of, self.born, on="", state=TaskState.NEW))

    @rule(data=st.data(), state=st.sampled_from([TaskState.RUNNING, TaskState.FAILED, None]))
    def a_task_goes_on(self, data: st.DataObject, state: TaskState | None) -> None:
        tasks = self.seen.tasks()
        if tasks:
            old = data.draw(st.sampled_from(tasks))
            if state is None:
                self.write(old, None)
            elif state > old.status.state and old.status.state is not TaskState.NEW:
                self.write(old, replace(old, status=TaskStatus(state=state)))

    @rule()
    def plan(self) -> None:
        plan = self.room.plan(self.seen, NOTHING_SEEN, self.keys, at(0), ids())
        assert plan == Allocator().plan(self.seen, NOTHING_SEEN, self.keys, at(0), ids())
        for change in plan.changes:
            assert not isinstance(change, Delete)
            kind = kind_of(change.new).name
            self.write(self.seen.get(kind, change.new.id), change.new)

    @invariant()
    def nothing_has_two_holders(self) -> None:
        for holders in (_addresses(self.seen), _ports(self.seen), _numbers(self.seen)):
            doubled = {key: number for key, number in holders.items() if number > 1}
            assert not doubled


def _networks_of(of: Service, net: Network) -> set[str]:
    wished = {wish.target for wish in of.spec.task_template.networks}
    assert of.spec.endpoint_spec is not None
    return wished | {net.id} if net.spec.ingress and of.spec.endpoint_spec.ports else wished


def _addresses(seen: MemoryView) -> Counter[tuple[str, str]]:
    held: Counter[tuple[str, str]] = Counter()
    for of in seen.services():
        held.update((vip.network_id, vip.addr) for vip in of.endpoint.virtual_ips)
    for this in seen.tasks():
        if not this.status.state.dead:
            held.update((a.network.id, x) for a in this.networks_attachments for x in a.addresses)
    for net in seen.networks():
        held.update((net.id, f"{config.gateway}/29") for config in net.ipam.config)
    return held


def _ports(seen: MemoryView) -> Counter[int]:
    return Counter(p.published_port for of in seen.services() for p in of.endpoint.ports)


def _numbers(seen: MemoryView) -> Counter[int]:
    return Counter(net.vni for net in seen.networks() if net.vni)


AllocatorHistory.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestAllocatorHistory = AllocatorHistory.TestCase
