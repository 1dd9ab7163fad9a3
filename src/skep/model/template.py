"""`{{.Task.Slot}}` and friends in a service's env values, hostname and mounts.

The names are Swarm's (source: swarmkit template/). Only plain fields and labels are known; anything
else between braces is an error, not an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from skep.kit.errors import InvalidArgument
from skep.model.node import Node
from skep.model.task import Task, task_name

_LABEL = re.compile(r'index\s+\.(Service|Node)\.Labels\s+"([^"]*)"')
_FIELDS = (
    ".Service.ID", ".Service.Name",
    ".Node.ID", ".Node.Hostname", ".Node.Platform.OS", ".Node.Platform.Architecture",
    ".Task.ID", ".Task.Name", ".Task.Slot",
)  # fmt: skip


class Context(msgspec.Struct, frozen=True):
    """What a template may name: plain fields by path, and the labels of service and node."""

    fields: Mapping[str, str]
    labels: Mapping[str, Mapping[str, str]]


_ANY = Context(
    fields={name: name.replace(".", "").lower() for name in _FIELDS},
    labels={"Service": {}, "Node": {}},
)


def context_of(task: Task, node: Node) -> Context:
    service = task.service_annotations
    platform = node.description.platform
    values = (
        task.service_id,
        service.name,
        node.id,
        node.description.hostname,
        platform.os,
        platform.architecture,
        task.id,
        task_name(task),
        str(task.slot) if task.slot else node.id,
    )
    return Context(
        fields=dict(zip(_FIELDS, values, strict=True)),
        labels={"Service": service.labels, "Node": node.spec.labels},
    )


def expand(text: str, context: Context) -> str:
    """`text` with every `{{…}}` replaced. Raises InvalidArgument naming what is not known."""
    plain, *rest = text.split("{{")
    expanded = [plain]
    for piece in rest:
        action, closed, plain = piece.partition("}}")
        if not closed:
            raise InvalidArgument(f'template "{text}" has a {{{{ without its }}}}')
        expanded += [_value(action.strip(), context), plain]
    return "".join(expanded)


def dry_run(text: str) -> str:
    """The text for some task on some node. Raises InvalidArgument where `expand` would for any."""
    return expand(text, _ANY)


def _value(action: str, context: Context) -> str:
    if (value := context.fields.get(action)) is not None:
        return value
    label = _LABEL.fullmatch(action)
    if label is not None:
        return context.labels[label[1]].get(label[2], "")
    known = ", ".join(context.fields)
    raise InvalidArgument(
        f'template "{{{{{action}}}}}" is not known here: use one of {known}, '
        'or index .Service.Labels "name"'
    )
