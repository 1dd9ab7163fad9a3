"""The one door by which what a node says becomes what the cluster shows and stores.

A node is believed in what it says of itself and of its own tasks, within bounds: texts are one line
of plain characters (they end in people's terminals), cut to a length; times are not far from ours;
states are those that an agent can see. What has the wrong shape does not come this far: the types
of `protocol/messages.py` refuse it, and the line ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from skep.kit.text import plain
from skep.model.node import NodeDescription, Plugin
from skep.model.service import GenericResource, Platform, Resources
from skep.model.states import TaskState
from skep.model.task import LONGEST_ERROR, LONGEST_MESSAGE, Task, TaskStatus
from skep.protocol.link import LinkClosed

_A_NAME, _A_LABEL = 255, 4_096
_LARGEST_DESCRIPTION = 128 * 1024
_OFF = timedelta(days=1)
"""A node whose clock is off by more is not believed, not even for what is shown."""

_SEEN_BY_AGENTS = frozenset(
    state for state in TaskState if TaskState.ACCEPTED <= state <= TaskState.REJECTED
)
_SEEN_FROM = frozenset(
    state for state in TaskState if TaskState.ASSIGNED <= state <= TaskState.RUNNING
)


def is_news(task: Task, said: TaskStatus) -> bool:
    """Whether a node may say this of a task of its own, and it was not known: what was not assigned
    yet, or is dead, has no steps to take, and none leads back."""
    before = task.status.state
    forward = before in _SEEN_FROM and said.state in _SEEN_BY_AGENTS and before <= said.state
    return forward and said != task.status


def status_of(task: Task, said: TaskStatus, now: datetime) -> TaskStatus | None:
    """The task's status after what its node said; None when that is no news."""
    if not is_news(task, said):
        return None
    timestamp = _near(said.timestamp, task.created_at, now)
    message, err = plain(said.message, LONGEST_MESSAGE), plain(said.err, LONGEST_ERROR)
    if (timestamp, message, err) == (said.timestamp, said.message, said.err):
        return said
    status = replace(said, timestamp=timestamp, message=message, err=err)
    return None if status == task.status else status


def description_of(said: NodeDescription) -> NodeDescription:
    """Raises LinkClosed when it is too large to be kept."""
    if len(msgspec.msgpack.encode(said)) > _LARGEST_DESCRIPTION:
        raise LinkClosed(f"it describes itself in more than {_LARGEST_DESCRIPTION} bytes")
    engine = said.engine
    return replace(
        said,
        hostname=plain(said.hostname, _A_NAME),
        platform=Platform(
            architecture=plain(said.platform.architecture, _A_NAME),
            os=plain(said.platform.os, _A_NAME),
        ),
        resources=_resources(said.resources),
        engine=replace(
            engine,
            engine_version=plain(engine.engine_version, _A_NAME),
            labels={plain(k, _A_NAME): plain(v, _A_LABEL) for k, v in engine.labels.items()},
            plugins=[
                Plugin(type=plain(plugin.type, _A_NAME), name=plain(plugin.name, _A_NAME))
                for plugin in engine.plugins
            ],
        ),
    )


def _resources(said: Resources) -> Resources:
    return Resources(
        nano_cpus=max(0, said.nano_cpus),
        memory_bytes=max(0, said.memory_bytes),
        generic_resources=[_generic(resource) for resource in said.generic_resources],
    )


def _generic(said: GenericResource) -> GenericResource:
    named, counted = said.named_resource_spec, said.discrete_resource_spec
    if named is not None:
        kind, value = plain(named.kind, _A_NAME), plain(named.value, _A_NAME)
        named = replace(named, kind=kind, value=value)
    if counted is not None:
        counted = replace(counted, kind=plain(counted.kind, _A_NAME), value=max(0, counted.value))
    return GenericResource(named_resource_spec=named, discrete_resource_spec=counted)


def _near(moment: datetime, born: datetime, now: datetime) -> datetime:
    """The node's time, if it can be true."""
    if abs(now - moment) > _OFF and not born - _OFF < moment < now:
        return now
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
