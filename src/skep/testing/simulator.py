"""A whole cluster in one thread: real deciding rooms, simulated machines, simulated time.

Everything that happens is a call at a simulated moment; which of two comes first, how long things
take and which commits are refused is decided by a seed. So a run is faster than real time, and a
run that found a fault can be seen again.

    cluster = SimulatedCluster(seed=7, nodes=3)
    cluster.create(service(10))
    cluster.converge()
    cluster.kill("n2")
    cluster.converge()

`invariants.py` is asked after every commit.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count

from msgspec.structs import replace

from skep.kit.errors import OutOfSequence, SkepError
from skep.manager.agenda import Agendas
from skep.manager.control.services import updated
from skep.manager.dispatcher.assignments import complete
from skep.manager.dispatcher.reports import reported
from skep.manager.manager import rooms
from skep.manager.room import Plan
from skep.model.node import Availability, Node
from skep.model.service import ReplicatedService, Service, ServiceMode, ServiceSpec
from skep.model.task import Task, TaskStatus
from skep.store.change import Change, Commit, Create, Delete, Update
from skep.store.memory import MemoryView
from skep.store.staging import Staged
from skep.testing import builders
from skep.testing.invariants import Invariants
from skep.testing.simulated_agent import Behaviour, SimulatedAgent

GRACE_S = 2.8
"""A node that is silent for this long is down."""


class SimulatedCluster:
    """`behaviours` says what the containers of an image do, `refusals` the share of plans that find
    somebody else's commit before theirs, `history` how many tasks are kept for each slot."""

    def __init__(
        self,
        *,
        seed: int = 0,
        nodes: int = 3,
        behaviours: Mapping[str, Behaviour] = {},
        refusals: float = 0.05,
        history: int = 5,
    ) -> None:
        self.seed = seed
        self.now = builders.T0
        self._refusals = refusals
        self._behaviours = behaviours
        self._chance = random.Random(seed)
        self._ids = count(1)
        self._order = count()
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._agendas = Agendas((), self._new_id)
        self._round_is_due = False
        self._silent: dict[str, object] = {}
        self.agents: dict[str, SimulatedAgent] = {}
        self.view = MemoryView()
        self.invariants = Invariants(self)
        self.commit([Create(builders.cluster(history))])
        self.restart_manager()
        for node in builders.nodes(nodes):
            self.join(node)

    # What people do

    def create(self, service: Service) -> None:
        self.commit([Create(service)])

    def change(self, service_id: str, change: Callable[[ServiceSpec], ServiceSpec]) -> None:
        """`service update`, as control commits it."""
        service = self.service(service_id)
        self.commit([Update(updated(service, change(service.spec)))])

    def scale(self, service_id: str, replicas: int) -> None:
        mode = ServiceMode(replicated=ReplicatedService(replicas=replicas))
        self.change(service_id, lambda spec: replace(spec, mode=mode))

    def set_image(self, service_id: str, image: str) -> None:
        def changed(spec: ServiceSpec) -> ServiceSpec:
            container = spec.task_template.container_spec
            assert container is not None
            template = replace(spec.task_template, container_spec=replace(container, image=image))
            return replace(spec, task_template=template)

        self.change(service_id, changed)

    def remove(self, service_id: str) -> None:
        self.commit([Delete(self.service(service_id))])

    def join(self, node: Node) -> None:
        self.commit([Create(node)])
        self._silent.pop(node.id, None)
        self.agents[node.id] = SimulatedAgent(
            self._behaviours,
            self._chance,
            lambda: self.now,
            self.later,
            lambda task_id, status: self._hear(node.id, task_id, status),
        )

    def set_availability(self, node_id: str, availability: Availability) -> None:
        node = self.node(node_id)
        spec = replace(node.spec, availability=availability)
        self.commit([Update(replace(node, spec=spec))])

    def remove_node(self, node_id: str) -> None:
        self.kill(node_id)
        del self.agents[node_id]
        self.commit([Delete(self.node(node_id))])

    # What goes wrong

    def kill(self, node_id: str) -> None:
        """The machine loses power."""
        self.agents[node_id].lose_power()
        self.partition(node_id)

    def partition(self, node_id: str) -> None:
        """Nothing reaches the node, nothing comes from it. Its processes run on."""
        if node_id not in self._silent:
            mark = self._silent[node_id] = object()
            self.later(GRACE_S, lambda: self._declare_down(node_id, mark))

    def heal(self, node_id: str) -> None:
        """The node is back: after a power cut, or a partition."""
        if self._silent.pop(node_id, None) is not None:
            self.later(0.01, lambda: self._session(node_id))

    def restart_manager(self) -> None:
        """Another manager leads, or the same from anew: what rooms had in mind is forgotten."""
        self._agendas = Agendas(rooms(), self._new_id)
        self._agendas.look_at_all(self.view)
        self._round_soon(0.0)

    # Time

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        moment = self.now + timedelta(seconds=delay_s)
        heapq.heappush(self._queue, (moment, next(self._order), call))

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self.now + timedelta(seconds=seconds)
        while self._queue and self._queue[0][0] <= end:
            self._next()
        self.now = end

    def converge(self, within_s: float = 120.0) -> float:
        """Run until everything is as wanted; returns after how many seconds it was.

        Raises AssertionError, with what is still wrong, if it takes longer than `within_s`.
        """
        start = self.now
        end = start + timedelta(seconds=within_s)
        while problem := self._unfinished() or self.invariants.not_as_wanted():
            assert self._queue and self._queue[0][0] <= end, f"seed {self.seed}: {problem}"
            self._next()
        return (self.now - start).total_seconds()

    def _unfinished(self) -> str:
        dirty = self._agendas.dirty
        return f"{', '.join(dirty)} still to be planned" if dirty else ""

    def _next(self) -> None:
        moment, _, call = heapq.heappop(self._queue)
        self.now = max(self.now, moment)
        call()

    # The store

    def service(self, service_id: str) -> Service:
        service = self.view.service(service_id)
        assert service is not None
        return service

    def node(self, node_id: str) -> Node:
        node = self.view.node(node_id)
        assert node is not None
        return node

    def commit(self, changes: Sequence[Change]) -> None:
        """All or none. Raises as `Store.commit` does."""
        if not changes:
            return
        commit = Staged(self.view, self.now).check(changes)
        self.view.apply(commit.revision, commit.events)
        self._agendas.follow(commit, self.view)
        self._tell_of(commit)
        self.invariants.after(commit.events)
        self._round_soon(self._chance.uniform(0.0, 0.02))

    def _tell_of(self, commit: Commit) -> None:
        for event in commit.events:
            for task in (event.old, event.new):
                if isinstance(task, Task) and task.node_id:
                    self._tell_soon(task.node_id)

    # The manager

    def _round_soon(self, delay_s: float) -> None:
        if not self._round_is_due:
            self._round_is_due = True
            self.later(delay_s, self._round)

    def _round(self) -> None:
        self._round_is_due = False
        while (turn := self._agendas.next_turn(self.view, self.now)) is not None:
            self._agendas.settle(turn, self._refusal(turn.plan), self.now)
        assert not self._agendas.troubled, f"seed {self.seed}: a room stumbled, see the log"
        if self._agendas.next_wake is not None:
            self._wake_at(self._agendas.next_wake)
        if self._agendas.dirty:
            self._round_soon(0.005)

    def _refusal(self, plan: Plan) -> SkepError | None:
        if plan.changes and self._chance.random() < self._refusals:
            return OutOfSequence()
        try:
            self.commit(plan.changes)
        except SkepError as error:
            return error
        return None

    def _new_id(self) -> str:
        return f"t{next(self._ids):05}"

    def _wake_at(self, moment: datetime) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), lambda: self._round_soon(0.0)))

    # The line between manager and agents

    def silent(self, node_id: str) -> bool:
        return node_id in self._silent

    def _tell_soon(self, node_id: str) -> None:
        self.later(self._chance.uniform(0.001, 0.01), lambda: self._tell(node_id))

    def _tell(self, node_id: str) -> None:
        if node_id in self.agents and not self.silent(node_id):
            news, _ = complete(self.view, node_id)
            bodies = (thing.body for thing in news.things)
            self.agents[node_id].told([body for body in bodies if isinstance(body, Task)])

    def _hear(self, node_id: str, task_id: str, status: TaskStatus) -> None:
        delay_s = self._chance.uniform(0.001, 0.01)
        self.later(delay_s, lambda: self._take(node_id, task_id, status))

    def _take(self, node_id: str, task_id: str, status: TaskStatus) -> None:
        if not self.silent(node_id):
            task = reported(self.view, task_id, node_id, status, self.now)
            self.commit([Update(task)] if task else [])

    def _session(self, node_id: str) -> None:
        if self.silent(node_id) or self.view.node(node_id) is None:
            return
        node = self.node(node_id)
        status = replace(node.status, state="ready", message="")
        self.commit([Update(replace(node, status=status, down_since=None))])
        self.agents[node_id].report_all()
        self._tell(node_id)

    def _declare_down(self, node_id: str, mark: object) -> None:
        if self._silent.get(node_id) is not mark or self.view.node(node_id) is None:
            return
        self.invariants.excuse(self.view.tasks_of_node(node_id))
        node = self.node(node_id)
        status = replace(node.status, state="down", message="heartbeat failure")
        self.commit([Update(replace(node, status=status, down_since=self.now))])
