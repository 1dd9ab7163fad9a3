"""Every rule that a service's spec must keep before it is stored.

Each checker is a pure function that raises InvalidArgument for what is wrong and Unimplemented for
what docker knows and this engine does not do, with Swarm's words where Swarm has them (source:
swarmkit manager/controlapi/service.go and common.go). Wrong types and negative numbers never come
here: decoding refuses them with the path of the field.
"""

from __future__ import annotations

import re

from skep.kit.errors import InvalidArgument, NeverAllowed, Unimplemented
from skep.manager.control.validate.container import check_container
from skep.manager.control.validate.placement import check_placement
from skep.manager.control.validate.ports import check_free, check_ports
from skep.manager.control.validate.resources import check_resources
from skep.model import defaults
from skep.model.service import MOST_REPLICAS, Driver, Service, ServiceSpec, TaskSpec
from skep.store.change import View

_NAME = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*")
_LONGEST_NAME = 63


def check_spec(view: View, spec: ServiceSpec, current: Service | None = None) -> None:
    """A completed spec, alone and against the cluster. `current` is the service it updates."""
    check_name(spec.name)
    _check_mode(spec)
    _check_labels(spec.labels)
    _check_task(spec.task_template)
    _check_rollback(spec)
    _check_networks(view, spec)
    check_ports(spec)
    check_free(view, spec, current)


def check_update(old: ServiceSpec, new: ServiceSpec) -> None:
    """What an update may not change."""
    if old.name != new.name:
        raise NeverAllowed("renaming services is not supported")
    if defaults.mode_name(old) != defaults.mode_name(new):
        raise NeverAllowed("service mode change is not allowed")


def check_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise InvalidArgument(f"name must be {_LONGEST_NAME} characters or fewer: {name}")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'name "{name}" must be valid as a DNS name component: letters, digits, - and _, '
            "with a letter or digit first and last"
        )


def _check_mode(spec: ServiceSpec) -> None:
    mode = defaults.mode_name(spec)
    if mode in ("replicated-job", "global-job"):
        raise Unimplemented(f"{mode} mode is not supported yet")
    if mode == "replicated" and defaults.replicas(spec) > MOST_REPLICAS:
        raise InvalidArgument(
            f"{defaults.replicas(spec)} replicas are too many: a service can have at most "
            f"{MOST_REPLICAS}"
        )


def _check_labels(labels: dict[str, str]) -> None:
    if "" in labels:
        raise InvalidArgument("a label needs a name")


def _check_task(spec: TaskSpec) -> None:
    if spec.plugin_spec is not None or spec.runtime not in ("", "container"):
        raise Unimplemented(
            f"the runtime {spec.runtime or 'plugin'} is not supported: use container"
        )
    if spec.network_attachment_spec is not None:
        raise Unimplemented("NetworkAttachmentSpec is not supported: use ContainerSpec")
    if spec.container_spec is None:
        raise InvalidArgument("TaskSpec: missing runtime: a ContainerSpec with an image is needed")
    check_container(spec.container_spec)
    _check_labels(spec.container_spec.labels)
    check_resources(spec)
    check_placement(defaults.placement(spec))
    if spec.log_driver is not None:
        _check_log_driver(spec.log_driver)


def _check_log_driver(driver: Driver) -> None:
    """The engines of all nodes are alike: what ours would refuse at each start is refused now."""
    from skep.engine.containers.wishes import check_log_config
    from skep.model.container import HostConfig, LogConfig

    check_log_config(HostConfig(log_config=LogConfig(type=driver.name, config=driver.options)))


def _check_rollback(spec: ServiceSpec) -> None:
    if spec.rollback_config is not None and spec.rollback_config.failure_action == "rollback":
        raise InvalidArgument(
            "RollbackConfig: the failure action rollback is not possible: use pause or continue"
        )


def _check_networks(view: View, spec: ServiceSpec) -> None:
    for wish in spec.task_template.networks:
        network = view.network(wish.target)
        if network is not None and network.spec.ingress:
            raise InvalidArgument(
                "Service cannot be explicitly attached to the ingress network "
                f'"{network.spec.name}"'
            )
        if wish.driver_opts:
            raise Unimplemented("driver options of a network attachment are not supported")
