"""Docker's list filters: `?filters={"name": {"web": true}, "label": ["a", "b=c"]}`. They are read
here, and what they mean for the nouns of a cluster becomes a plain predicate.

Values of one key are alternatives; keys must all be met. Labels are the exception: all of them
must be there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from skep.engine.filters import passes_labels, until_moment
from skep.engine.networks.record import PREDEFINED
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.kit.labels import has_labels
from skep.kit.numbers import shortened
from skep.kit.where import Where
from skep.model import defaults
from skep.model.event import Event
from skep.model.network import NetworkResource
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task, task_name

Filters = Mapping[str, frozenset[str]]
"""Key -> wanted values."""

_OF_EVENTS = (
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


def parse_filters(text: str) -> Filters:
    """Read the query parameter, in its map form or in the older list form; "" is no filter.

    Raises InvalidArgument when it is not JSON of one of these shapes.
    """
    if not text:
        return {}
    try:
        raw = msgspec.json.decode(text)
    except (*UNDECODABLE, UnicodeEncodeError):
        raise InvalidArgument(f"invalid filters: not JSON: {shortened(text)}") from None
    if not isinstance(raw, dict):
        raise InvalidArgument('invalid filters: write a map such as {"name": ["web"]}')
    return {key: _values(key, value) for key, value in raw.items()}


def _values(key: str, value: Any) -> frozenset[str]:
    if isinstance(value, dict):
        chosen = [item for item, wanted in value.items() if wanted is True]
        if all(isinstance(wanted, bool) for wanted in value.values()):
            return frozenset(chosen)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    raise InvalidArgument(f"invalid filters: the values of '{key}' must be strings")


def check_keys(filters: Filters, known: Iterable[str]) -> None:
    """Refuse a filter that the listing does not have, in docker's words."""
    unknown = sorted(set(filters) - set(known))
    if unknown:
        raise InvalidArgument(f"invalid filter '{unknown[0]}'")


def invalid_value(key: str, value: str) -> InvalidArgument:
    return InvalidArgument(f"invalid filter '{key}={value}'")


def one_of(filters: Filters, key: str, allowed: Iterable[str]) -> frozenset[str]:
    """The values given for `key`, each of which must be one of `allowed`."""
    given = filters.get(key, frozenset())
    for value in sorted(given - set(allowed)):
        raise invalid_value(key, value)
    return given


def boolean(filters: Filters, key: str) -> bool | None:
    """The truth value given for `key`, None when it was not given."""
    given = {value.lower() for value in filters.get(key, ())}
    if not given:
        return None
    if given <= {"1", "true"}:
        return True
    if given <= {"0", "false"}:
        return False
    raise invalid_value(key, min(given))


def has_prefix(filters: Filters, key: str, value: str) -> bool:
    """No wish, or `value` starts with one of those given (ids and names)."""
    given = filters.get(key)
    return not given or any(value.startswith(prefix) for prefix in given)


def is_among(filters: Filters, key: str, value: str) -> bool:
    """No wish, or `value` is one of those given."""
    given = filters.get(key)
    return not given or value in given


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
    until = until_moment(filters, now)
    return lambda network: (
        passes_labels(network.labels, filters) and (until is None or network.created < until)
    )


def events(filters: Filters) -> Where[Event]:
    """By event, label, scope, type, and by the id or name of a container, an image, a node, …

    A task's event is also found by its service and its node.
    """
    check_keys(filters, _OF_EVENTS)
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
