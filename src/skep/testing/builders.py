"""Small services, tasks, nodes and views for the tests of planners.

Ids say what a thing is: service "web", node "n1", task "a". Time is counted in seconds from `T0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from msgspec.msgpack import encode
from msgspec.structs import replace

from skep.kit.clock import NS_PER_S
from skep.manager.room import NewId, Plan
from skep.model.base import Version
from skep.model.cluster import Cluster, ClusterSpec, OrchestrationConfig
from skep.model.network import Network
from skep.model.node import Availability, Node, NodeDescription, NodeSpec, NodeState, NodeStatus
from skep.model.service import (
    ContainerSpec,
    Endpoint,
    GlobalService,
    Placement,
    ReplicatedService,
    Resources,
    RestartPolicy,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from skep.model.states import TaskState
from skep.model.task import ServiceAnnotations, Task, TaskStatus
from skep.protocol.messages import Assigned, Reference
from skep.store.change import Delete, Stored
from skep.store.memory import MemoryView

T = TypeVar("T")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1 << 30


def at(seconds: float) -> datetime:
    """`seconds` after T0."""
    return T0 + timedelta(seconds=seconds)


def seconds(number: float) -> int:
    """`number` of seconds in nanoseconds, as specs count them."""
    return round(number * NS_PER_S)


def ids(prefix: str = "new") -> NewId:
    """An id maker: new1, new2…"""
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers)}"


def view(*objects: Stored | Sequence[Stored], revision: int = 1) -> MemoryView:
    """A view of objects, given singly or in lists."""
    flat: list[Stored] = []
    for item in objects:
        flat += item if isinstance(item, Sequence) else [item]
    return MemoryView(flat, revision)


def node(
    node_id: str = "n1",
    *,
    state: NodeState = "ready",
    availability: Availability = "active",
    labels: Mapping[str, str] = {},
    cpus: int = 8,
    memory_bytes: int = 16 * GIB,
    message: str = "",
    down_since: datetime | None = None,
) -> Node:
    """A worker whose hostname is its id."""
    resources = Resources(nano_cpus=cpus * NS_PER_S, memory_bytes=memory_bytes)
    return Node(
        id=node_id,
        version=Version(1),
        spec=NodeSpec(labels=dict(labels), availability=availability),
        description=NodeDescription(hostname=node_id, resources=resources),
        status=NodeStatus(state=state, message=message, addr="10.0.0.1"),
        down_since=down_since,
    )


def nodes(number: int) -> list[Node]:
    """n1, n2… up to `number`."""
    return [node(f"n{index}") for index in range(1, number + 1)]


def spec(
    replicas: int | None = 1,
    *,
    name: str = "web",
    image: str = "app:1",
    labels: Mapping[str, str] = {},
    constraints: Sequence[str] = (),
    restart: RestartPolicy | None = None,
    update: UpdateConfig | None = None,
    rollback: UpdateConfig | None = None,
) -> ServiceSpec:
    """A service's spec; `replicas` None makes it global."""
    task_template = TaskSpec(
        container_spec=ContainerSpec(image=image),
        restart_policy=restart,
        placement=Placement(constraints=list(constraints)) if constraints else None,
    )
    mode = (
        ServiceMode(global_=GlobalService())
        if replicas is None
        else ServiceMode(replicated=ReplicatedService(replicas=replicas))
    )
    return ServiceSpec(
        name=name,
        labels=dict(labels),
        task_template=task_template,
        mode=mode,
        update_config=update,
        rollback_config=rollback,
    )


def service(
    replicas: int | None = 1, *, version: int = 1, previous: Service | None = None, **words: Any
) -> Service:
    """A service, its id its name; the words are those of `spec`.

    `previous` is the service before an update: this one has its spec as the previous one.
    """
    wanted = spec(replicas, **words)
    return Service(
        id=wanted.name,
        version=Version(version),
        created_at=T0,
        updated_at=T0,
        spec=wanted,
        spec_version=Version(version),
        previous_spec=previous.spec if previous else None,
        previous_spec_version=previous.spec_version if previous else None,
        endpoint=Endpoint(),
    )


def task(
    task_id: str,
    of: Service,
    slot: int = 1,
    *,
    on: str = "n1",
    state: TaskState = TaskState.RUNNING,
    desired: TaskState = TaskState.RUNNING,
    born: float = 0,
    since: float = 0,
    err: str = "",
    **fields: Any,
) -> Task:
    """A task made from the service's present spec, `born` at that second, in `state` `since` then.

    It counts as having run since `born` where its state says that it ran.
    """
    ran = state in (TaskState.RUNNING, TaskState.COMPLETE, TaskState.FAILED, TaskState.SHUTDOWN)
    made = Task(
        id=task_id,
        version=Version(1),
        created_at=at(born),
        updated_at=at(born),
        spec=of.spec.task_template,
        endpoint_spec=of.spec.endpoint_spec,
        spec_version=of.spec_version,
        service_id=of.id,
        service_annotations=ServiceAnnotations(name=of.spec.name, labels=of.spec.labels),
        slot=slot,
        node_id=on,
        status=TaskStatus(timestamp=at(since), state=state, err=err),
        desired_state=desired,
        applied_at=at(since),
        running_since=at(born) if ran else None,
    )
    return replace(made, **fields)


def assigned(
    *things: Task | Network, needs: Sequence[Reference] = (), **auths: str
) -> list[Assigned]:
    """As a manager tells it: networks, credentials by service, and tasks with what each needs."""
    told = [
        Assigned("registry-auth", service_id, 1, encode(auth), volatile=True)
        for service_id, auth in auths.items()
    ]
    for thing in things:
        kind, wants = ("task", tuple(needs)) if isinstance(thing, Task) else ("network", ())
        told.append(Assigned(kind, thing.id, thing.version.index, encode(thing), wants))
    return told


def references(kind: str, *ids: str) -> list[Reference]:
    return [Reference(kind, each) for each in ids]


def written(plan: Plan, kind: type[T]) -> list[T]:
    """The objects that a plan writes, every one of that kind."""
    found: list[T] = []
    for change in plan.changes:
        assert not isinstance(change, Delete) and isinstance(change.new, kind), change
        found.append(change.new)
    return found


def cluster(history: int = 5) -> Cluster:
    """A cluster that keeps `history` tasks for each slot."""
    orchestration = OrchestrationConfig(task_history_retention_limit=history)
    return Cluster(id="cluster", version=Version(1), spec=ClusterSpec(orchestration=orchestration))
