"""Tasks: one try at running one slot of a service on one node."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from skep.kit.clock import ZERO_TIME
from skep.model.base import Object, Value, Version
from skep.model.bounds import PID, Int32, Int64, Moment, Text
from skep.model.service import EndpointSpec, GenericResource, PortConfig, TaskSpec
from skep.model.states import TaskState

Origin = Literal["scale", "restart", "loss", "update", "drain", "rebalance"]
"""Why a task was made, in one word: `Task.cause` says it in a sentence."""


LONGEST_MESSAGE, LONGEST_ERROR = 1_024, 8_192
"""Of a status, in characters, as it is kept. A line takes a little more, and it is cut."""

_ContainerID = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9_.-]*\Z")]
_HostPorts = Annotated[list[PortConfig], Meta(max_length=1_024)]


class ContainerStatus(Value, frozen=True):
    container_id: _ContainerID = field(name="ContainerID", default="")
    pid: PID = field(name="PID", default=0)
    exit_code: Int32 = 0


class PortStatus(Value, frozen=True):
    """Host-mode ports as the node really published them."""

    ports: _HostPorts = []


class TaskStatus(Value, frozen=True, omit_defaults=False):
    """What was observed. `message` is the step in a word, `err` the reason when it went wrong."""

    timestamp: Moment = ZERO_TIME
    state: TaskState = TaskState.NEW
    message: Text = ""
    err: Text = ""
    container_status: ContainerStatus | None = None
    port_status: PortStatus | None = None


class ServiceAnnotations(Value, frozen=True):
    """The service's name and labels when the task was made: for names, labels and templates."""

    name: str = ""
    labels: dict[str, str] = {}


class NetworkName(Value, frozen=True):
    name: str = ""


class NetworkRef(Value, frozen=True):
    """The part of a network that a task shows."""

    id: str = ""
    spec: NetworkName = NetworkName()


class NetworkAttachment(Value, frozen=True):
    """A task's place on one network. `addresses` with prefix length: "10.0.1.3/24"."""

    network: NetworkRef = NetworkRef()
    addresses: list[str] = []
    aliases: list[str] = []


class Task(Object, frozen=True, kw_only=True, omit_defaults=True):
    """A task as stored and as GET /tasks shows it.

    `slot` numbers from 1 for replicated services (0 for global ones, which are keyed by node).
    `spec`, `spec_version` and `endpoint_spec` are the service's at birth and never change.
    `applied_at` is since when a manager knows of its state, `running_since` of its first RUNNING,
    by the manager's clock: planners compare no other. `status.timestamp` is the node's word, to be
    shown. `hold_until` keeps a successor at desired
    READY during the restart delay; `restarts` are the times at which its slot was restarted under
    this spec version (newest last, as many as the policy must count). `cause` says in words why
    the task exists (`origin` in one word); `cause_of_end` why it is wanted no more.
    """

    id: str
    version: Version
    created_at: Moment
    updated_at: Moment
    labels: dict[str, str] = {}
    spec: TaskSpec
    service_id: str = field(name="ServiceID", default="")
    slot: Int64 = 0
    node_id: str = field(name="NodeID", default="")
    service_annotations: ServiceAnnotations = ServiceAnnotations()
    status: TaskStatus
    desired_state: TaskState
    networks_attachments: list[NetworkAttachment] = []
    ports: list[PortConfig] = []
    assigned_generic_resources: list[GenericResource] = []
    job_iteration: Version | None = None
    spec_version: Version = Version()
    endpoint_spec: EndpointSpec | None = None
    applied_at: Moment | None = None
    running_since: Moment | None = None
    hold_until: Moment | None = None
    restarts: list[Moment] = []
    origin: Origin = "scale"
    cause: str = ""
    cause_of_end: str = ""


def with_status(task: Task, status: TaskStatus, now: datetime) -> Task:
    """The task with a status that a manager learned of, or decided, now."""
    news = status.state is not task.status.state
    ran_first = status.state is TaskState.RUNNING and task.running_since is None
    return msgspec.structs.replace(
        task,
        status=status,
        applied_at=now if news else task.applied_at,
        running_since=now if ran_first else task.running_since,
    )


def state_since(task: Task) -> datetime:
    """Since when the task is known to be in its state, by the manager's clock."""
    return task.applied_at or task.updated_at


def settled(task: Task) -> Task:
    """A task as an older skep kept it, which believed the node's clock: what a manager wrote down
    had happened by then."""
    if task.applied_at is not None or task.running_since is None:
        return task
    return msgspec.structs.replace(task, running_since=min(task.running_since, task.updated_at))


def task_name(task: Task) -> str:
    """The task's and its container's name: `<service>.<slot or node id>.<task id>`."""
    place = str(task.slot) if task.slot else task.node_id
    return f"{task.service_annotations.name}.{place}.{task.id}"
