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

_ACTION = re.compile(r"\{\{(.*?)\}\}")
_LABEL = re.compile(r'index\s+\.(Service|Node)\.Labels\s+"([^"]*)"')


class Context(msgspec.Struct, frozen=True):
    """What a template may name: plain fields by path, and the labels of service and node."""

    fields: Mapping[str, str]
    labels: Mapping[str, Mapping[str, str]]


def context_of(task: Task, node: Node) -> Context:
    service = task.service_annotations
    platform = node.description.platform
    return Context(
        fields={
            ".Service.ID": task.service_id,
            ".Service.Name": service.name,
            ".Node.ID": node.id,
            ".Node.Hostname": node.description.hostname,
            ".Node.Platform.OS": platform.os,
            ".Node.Platform.Architecture": platform.architecture,
            ".Task.ID": task.id,
            ".Task.Name": task_name(task),
            ".Task.Slot": str(task.slot) if task.slot else node.id,
        },
        labels={"Service": service.labels, "Node": node.spec.labels},
    )


def expand(text: str, context: Context) -> str:
    """`text` with every `{{…}}` replaced. Raises InvalidArgument naming what is not known."""
    if "{{" not in text:
        return text
    return _ACTION.sub(lambda found: _value(found[1].strip(), context), text)


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
