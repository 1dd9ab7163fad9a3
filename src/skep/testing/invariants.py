"""What must be true of a cluster: after every commit, and when it has come to rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from skep.manager.constraint import matches, parse
from skep.manager.orchestrator.rebalance import asked_for
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.slots import Slot, running, slots_of, wanted
from skep.model import defaults
from skep.model.node import eligible
from skep.model.service import Service
from skep.model.task import Task
from skep.store.change import Event
from skep.store.memory import MemoryView
from skep.testing.simulated_agent import SimulatedAgent

_MOVING = ("updating", "rollback_started")


class Watched(Protocol):
    """What is looked at, in a simulated cluster."""

    seed: int
    now: datetime
    view: MemoryView
    agents: dict[str, SimulatedAgent]

    def silent(self, node_id: str) -> bool:
        """Whether the managers hear nothing of the node."""
        ...


class Invariants:
    """Watches over one simulated cluster."""

    def __init__(self, cluster: Watched) -> None:
        self._cluster = cluster
        self._excused: set[str] = set()
        self.fewest: dict[str, int] = {}
        """The fewest tasks of each service that served at the same time; tests clear it."""

    def excuse(self, tasks: Iterable[Task]) -> None:
        """These tasks are out of reach: nobody can stop their processes now."""
        self._excused.update(task.id for task in tasks)

    def after(self, events: Iterable[Event]) -> None:
        """Raises AssertionError when a commit breaks a rule."""
        touched: set[str] = set()
        for event in events:
            if isinstance(event.old, Task) and isinstance(event.new, Task):
                self._check(_only_forward(event.old, event.new), event.new.id)
            task = event.new or event.old
            if isinstance(task, Task):
                touched.add(task.service_id)
        for service_id in sorted(touched):
            self._check_alone(service_id)
            self._count(service_id)

    def not_as_wanted(self) -> str:
        """What is not yet as people want it; "" when all is."""
        for service in self._cluster.view.services():
            if service.update_status is not None and service.update_status.state in _MOVING:
                return f"{service.id}: {service.update_status.state}"
            problem = self._service_problem(service)
            if problem:
                return problem
        return self._leftover()

    def _service_problem(self, service: Service) -> str:
        view = self._cluster.view
        slots = slots_of(view.tasks_of_service(service.id))
        processes = self._processes(service.id)
        filled = [slot for slot in slots.values() if slot.holders or at_rest(slot)]
        expected = self._expected(service)
        if len(filled) != expected:
            return f"{service.id}: {len(filled)} slots, {expected} wanted"
        for slot in filled:
            problem = self._slot_problem(slot, processes[slot.key])
            if problem:
                return f"{service.id}, slot {slot.key}: {problem}"
        return ""

    def _slot_problem(self, slot: Slot, processes: list[Task]) -> str:
        if at_rest(slot):
            return f"{len(processes)} processes in a slot at rest" if processes else ""
        if len(slot.holders) != 1 or not running(slot.holders[0]):
            return f"holders {[(task.id, str(task.status.state)) for task in slot.holders]}"
        if [task.id for task in processes] != [slot.holders[0].id]:
            return f"processes of {[task.id for task in processes]}"
        history = [task for task in slot.tasks if not wanted(task)]
        limit = self._history_limit(slot.holders[0])
        return f"{len(history)} old tasks" if 0 <= limit < len(history) else ""

    def _expected(self, service: Service) -> int:
        if not defaults.is_global(service.spec):
            return defaults.replicas(service)
        constraints = parse(defaults.placement(service.spec.task_template).constraints)
        nodes = self._cluster.view.nodes()
        return sum(eligible(node) and matches(constraints, node) for node in nodes)

    def _history_limit(self, task: Task) -> int:
        max_attempts = defaults.restart_max_attempts(task.spec)
        cluster = self._cluster.view.cluster()
        assert cluster is not None
        return max_attempts or cluster.spec.orchestration.task_history_retention_limit

    def _leftover(self) -> str:
        for node in self._cluster.view.nodes():
            agent = self._cluster.agents[node.id]
            reached = not self._cluster.silent(node.id)
            if reached and node.spec.availability == "drain" and agent.processes:
                return f"node {node.id} is drained and not empty"
        known = {service.id for service in self._cluster.view.services()}
        for task in self._cluster.view.tasks():
            if task.service_id not in known:
                return f"task {task.id} of a service that is gone"
        return ""

    def _processes(self, service_id: str) -> defaultdict[int | str, list[Task]]:
        """What really runs on nodes that can be reached, by slot."""
        found: defaultdict[int | str, list[Task]] = defaultdict(list)
        for node_id, agent in self._cluster.agents.items():
            if not self._cluster.silent(node_id):
                for task in agent.processes:
                    if task.service_id == service_id:
                        found[task.slot or node_id].append(task)
        return found

    def _check_alone(self, service_id: str) -> None:
        """No slot has two processes, except while a start-first move is under way."""
        service = self._cluster.view.service(service_id)
        allowed = 2 if service is None or _may_overlap(service) else 1
        count: Counter[int | str] = Counter()
        for key, tasks in self._processes(service_id).items():
            count[key] = sum(task.id not in self._excused for task in tasks)
        for key, number in count.items():
            self._check(f"{number} processes at once" if number > allowed else "", str(key))

    def _count(self, service_id: str) -> None:
        serving = sum(
            task.service_id == service_id
            for agent in self._cluster.agents.values()
            for task in agent.serving
        )
        self.fewest[service_id] = min(serving, self.fewest.get(service_id, serving))

    def _check(self, problem: str, what: str) -> None:
        assert not problem, f"seed {self._cluster.seed}, {self._cluster.now}, {what}: {problem}"


def _may_overlap(service: Service) -> bool:
    orders = (
        defaults.update_config(service.spec).order,
        defaults.rollback_config(service.spec).order,
    )
    return "start-first" in orders or asked_for(service)


def _only_forward(old: Task, new: Task) -> str:
    if new.status.state < old.status.state:
        return f"state went back from {old.status.state} to {new.status.state}"
    if new.desired_state < old.desired_state:
        return f"desired state went back from {old.desired_state} to {new.desired_state}"
    if old.node_id not in ("", new.node_id):
        return f"moved from node {old.node_id} to {new.node_id}"
    if (old.spec, old.spec_version, old.slot) != (new.spec, new.spec_version, new.slot):
        return "what it was made from changed"
    return ""
