"""Templates in a service's env values, hostname and mounts: `{{.Task.Slot}}` and friends.

They are Go's, with what Swarm lets them name and call (source: swarmkit template/context.go,
template.go, expand.go); `.Node.Labels` is ours. To name what is not there is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.kit.numbers import shortened
from skep.model.node import Node
from skep.model.service import ContainerSpec, Driver, Mount, Platform, VolumeOptions
from skep.model.task import Task, task_name
from skep.template import GO_FUNCTIONS, Budget, Functions, GoStruct, TemplateError, compile_template
from skep.template.values import as_text

_STEPS = 10_000
_CHARACTERS = 250_000
"""For all templates of one container together; a hundredth of either is much."""


def _join(separator: str, *parts: str) -> str:
    return as_text(separator).join(map(as_text, parts))


_FUNCTIONS: Functions = {**GO_FUNCTIONS, "join": _join}


def context_of(task: Task, node: Node) -> GoStruct:
    """What the templates of a task may name."""
    service, description = task.service_annotations, node.description
    return _context(
        description.platform,
        service={"ID": task.service_id, "Name": service.name, "Labels": service.labels},
        node={"ID": node.id, "Hostname": description.hostname, "Labels": node.spec.labels},
        task={
            "ID": task.id,
            "Name": task_name(task),
            "Slot": str(task.slot) if task.slot else node.id,
        },
    )


def _context(platform: Platform, **things: Mapping[str, Any]) -> GoStruct:
    machine = {"Architecture": platform.architecture, "OS": platform.os}
    return GoStruct(
        "*template.Context",
        Service=GoStruct("template.Service", **things["service"]),
        Node=GoStruct(
            "template.Node", **things["node"], Platform=GoStruct("template.Platform", **machine)
        ),
        Task=GoStruct("template.Task", **things["task"]),
    )


SOME_TASK = _context(
    Platform(architecture="architecture", os="os"),
    service={"ID": "serviceid", "Name": "servicename", "Labels": {}},
    node={"ID": "nodeid", "Hostname": "nodeHostname", "Labels": {}},
    task={"ID": "taskid", "Name": "taskname", "Slot": "1"},
)
"""For a dry run of templates, when they are written."""


def expanded(spec: ContainerSpec, context: GoStruct) -> ContainerSpec:
    """The spec of one task. Raises InvalidArgument in Swarm's words for what cannot be expanded."""
    expand = _Expansion(context)
    return replace(
        spec,
        env=list(map(expand.variable, spec.env)),
        mounts=list(map(expand.mount, spec.mounts)),
        hostname=expand.text(spec.hostname, "expanding hostname failed"),
    )


class _Expansion:
    def __init__(self, context: GoStruct) -> None:
        self._context = context
        self._budget = Budget(_STEPS, _CHARACTERS)

    def text(self, text: str, failure: str) -> str:
        """`failure` is how the sentence begins that says what is wrong."""
        if "{{" not in text:
            return text
        try:
            template = compile_template(text, _FUNCTIONS, self._budget)
            return template.execute(self._context, missing="error", budget=self._budget)
        except TemplateError as error:
            raise InvalidArgument(f"{failure}: template: expansion: {error}") from None

    def variable(self, entry: str) -> str:
        """Its value, not its name."""
        name, separator, value = entry.partition("=")
        failure = f'expanding env failed: expanding env "{shortened(entry)}"'
        return name + separator + self.text(value, failure)

    def mount(self, mount: Mount) -> Mount:
        failure = "expanding mounts failed: expanding mount"
        options = mount.volume_options
        return replace(
            mount,
            source=self.text(mount.source, f'{failure} source "{shortened(mount.source)}"'),
            target=self.text(mount.target, f'{failure} target "{shortened(mount.target)}"'),
            volume_options=options and self._volume(options),
        )

    def _volume(self, options: VolumeOptions) -> VolumeOptions:
        driver = options.driver_config
        return replace(
            options,
            labels=self._values(options.labels, "labels"),
            driver_config=driver and self._driver(driver),
        )

    def _driver(self, driver: Driver) -> Driver:
        return replace(driver, options=self._values(driver.options, "driver config"))

    def _values(self, pairs: Mapping[str, str], what: str) -> dict[str, str]:
        failure = f"expanding mounts failed: expanding volume {what}: expanding map entry"
        return {key: self.text(value, f'{failure} "{key}"') for key, value in pairs.items()}
