"""What docker's filters mean for each list: plain predicates for the rooms below, and queries for
the engine. Each raises InvalidArgument for a filter, or a value, that its list does not know.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from skep.api.filters import (
    Filters,
    boolean,
    check_keys,
    has_prefix,
    invalid_value,
    is_among,
    labels,
    one_of,
    until,
)
from skep.engine.networks.record import PREDEFINED
from skep.engine.queries import ContainerQuery, ImageQuery
from skep.kit.errors import InvalidArgument
from skep.kit.labels import has_labels
from skep.kit.numbers import parse_int
from skep.kit.where import Where
from skep.model import defaults
from skep.model.event import Event
from skep.model.network import NetworkResource
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task, task_name
from skep.model.volume import Volume

OF_CONTAINERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "label!", "name",
    "network", "publish", "since", "status", "volume",
)  # fmt: skip
_STATES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")
_HEALTH = ("healthy", "none", "starting", "unhealthy")
OF_EVENTS = (
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin",
    "scope", "secret", "service", "task", "type", "volume",
)  # fmt: skip
_MODES = ("replicated", "global", "replicated-job", "global-job")
_DESIRED = {
    "running": TaskState.RUNNING,
    "shutdown": TaskState.SHUTDOWN,
    "accepted": TaskState.ACCEPTED,
    "ready": TaskState.READY,
    "complete": TaskState.COMPLETE,
    "remove": TaskState.REMOVE,
}


def containers(filters: Filters) -> ContainerQuery:
    check_keys(filters, OF_CONTAINERS)
    one_of(filters, "status", _STATES)
    one_of(filters, "health", _HEALTH)
    return ContainerQuery(
        ids=filters.get("id") or None,
        names=filters.get("name") or None,
        states=filters.get("status") or None,
        exit_codes=_exit_codes(filters),
        health=filters.get("health") or None,
        ancestors=filters.get("ancestor") or None,
        networks=filters.get("network") or None,
        volumes=filters.get("volume") or None,
        published=filters.get("publish") or None,
        exposed=filters.get("expose") or None,
        is_task=boolean(filters, "is-task"),
        labels=labels(filters),
        before=filters.get("before", ()),
        since=filters.get("since", ()),
    )


def _exit_codes(filters: Filters) -> set[int] | None:
    codes = set()
    for value in filters.get("exited", ()):
        try:
            codes.add(parse_int(value))
        except ValueError:
            raise invalid_value("exited", value) from None
    return codes or None


def images(filters: Filters, now: datetime) -> ImageQuery:
    check_keys(filters, ("before", "dangling", "label", "reference", "since", "until"))
    return ImageQuery(
        dangling=boolean(filters, "dangling"),
        labels=labels(filters),
        references=filters.get("reference") or None,
        before=filters.get("before", ()),
        since=filters.get("since", ()),
        until=until(filters, now),
    )


def volumes(filters: Filters) -> Where[Volume]:
    """By driver, label, label!, name (any part of it). The list knows dangling besides."""
    check_keys(filters, ("dangling", "driver", "label", "label!", "name"))
    query = labels(filters)
    names = filters.get("name")
    return lambda volume: (
        query.passes(volume.labels or {})
        and (not names or any(part in volume.name for part in names))
        and is_among(filters, "driver", volume.driver)
    )


def services(filters: Filters) -> Where[Service]:
    """By id, label, mode, name, runtime."""
    check_keys(filters, ("id", "label", "mode", "name", "runtime"))
    one_of(filters, "mode", _MODES)
    return lambda service: (
        has_prefix(filters, "id", service.id)
        and has_prefix(filters, "name", service.spec.name)
        and has_labels(service.spec.labels, filters.get("label", ()))
        and is_among(filters, "mode", defaults.mode_name(service.spec))
        and is_among(filters, "runtime", service.spec.task_template.runtime or "container")
    )


def nodes(filters: Filters) -> Where[Node]:
    """By id, label (the engine's), membership, name, node.label, role."""
    check_keys(filters, ("id", "label", "membership", "name", "node.label", "role"))
    one_of(filters, "role", ("worker", "manager"))
    one_of(filters, "membership", ("accepted", "pending"))
    return lambda node: (
        has_prefix(filters, "id", node.id)
        and has_prefix(filters, "name", node.description.hostname)
        and has_labels(node.description.engine.labels, filters.get("label", ()))
        and has_labels(node.spec.labels, filters.get("node.label", ()))
        and is_among(filters, "membership", "accepted")
        and is_among(filters, "role", node.certificate_role)
    )


def tasks(filters: Filters) -> Where[Task]:
    """By id, name, label (of the service: `docker stack ps` needs it), desired-state, runtime.

    The list knows service, node and _up-to-date besides (docker's progress bars need the last).
    """
    check_keys(
        filters,
        ("_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service"),
    )
    desired = {_DESIRED[word] for word in one_of(filters, "desired-state", _DESIRED)}
    return lambda task: (
        has_prefix(filters, "id", task.id)
        and has_prefix(filters, "name", task_name(task))
        and has_labels(task.service_annotations.labels, filters.get("label", ()))
        and is_among(filters, "runtime", task.spec.runtime or "container")
        and (not desired or task.desired_state in desired)
    )


def networks(filters: Filters) -> Where[NetworkResource]:
    """By driver, id, label, name, scope, type (builtin, custom). The list knows dangling besides.

    A name is found by any part of it.
    """
    check_keys(filters, ("dangling", "driver", "id", "label", "name", "scope", "type"))
    for kind in sorted(filters.get("type", frozenset()) - {"builtin", "custom"}):
        raise InvalidArgument(f"invalid filter: 'type'='{kind}'")
    boolean(filters, "dangling")
    names = filters.get("name")
    return lambda network: (
        has_prefix(filters, "id", network.id)
        and (not names or any(part in network.name for part in names))
        and is_among(filters, "driver", network.driver)
        and is_among(filters, "scope", network.scope)
        and is_among(filters, "type", "builtin" if network.name in PREDEFINED else "custom")
        and has_labels(network.labels, filters.get("label", ()))
    )


def pruned_networks(filters: Filters, now: datetime) -> Where[NetworkResource]:
    """By label, label! and until."""
    check_keys(filters, ("label", "label!", "until"))
    query, end = labels(filters), until(filters, now)
    return lambda network: query.passes(network.labels) and (end is None or network.created < end)


def events(filters: Filters) -> Where[Event]:
    """By event, label, scope, type, and by the id or name of a container, an image, a node, …

    A task's event is also found by its service and its node.
    """
    check_keys(filters, OF_EVENTS)
    return lambda event: all(
        _is_of_event(event, key, values) for key, values in filters.items() if values
    )


def asks_for_tasks(filters: Filters) -> bool:
    """Events of tasks, which no dockerd has, go to those alone who ask for them: clients with a
    fixed list of types (docker-java) would meet a type that is none, and all would get thousands.
    """
    return "task" in filters.get("type", ()) or bool(filters.get("task"))


def _is_of_event(event: Event, key: str, values: Collection[str]) -> bool:
    attributes = event.actor.attributes
    match key:
        case "event":
            return any(
                event.action == value or event.action.startswith(f"{value}:") for value in values
            )
        case "type":
            return event.type in values
        case "scope":
            return event.scope in values
        case "label":
            return has_labels(attributes, values)
        case "image" if event.type == "container":
            return event.from_ in values
        case "service" | "node" if event.type == "task":
            return _names(values, attributes.get(key, ""), attributes.get(f"{key}.id", ""))
        case _:
            return event.type == key and _names(values, event.actor.id, attributes.get("name", ""))


def _names(values: Collection[str], *names: str) -> bool:
    """Whether one of the names is, or begins with, one of the values."""
    return any(name and name.startswith(value) for name in names for value in values)
