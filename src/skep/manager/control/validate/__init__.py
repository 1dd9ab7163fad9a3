"""Every rule that a service's spec must keep before it is stored.

What its containers' engines will judge is judged by their rule book (`skep.model.rules`); what only
a service has is judged here. Each checker is a pure function that raises InvalidArgument for what
is wrong and Unimplemented for what docker knows and this engine does not do, with Swarm's words
where Swarm has them (source: swarmkit manager/controlapi/service.go and common.go). Wrong types and
negative numbers never come here: decoding refuses them with the path of the field.
"""

from __future__ import annotations

from skep.kit.errors import InvalidArgument, NeverAllowed, Unimplemented
from skep.manager.control.validate.container import check_container
from skep.manager.control.validate.placement import check_placement
from skep.manager.control.validate.ports import check_free, check_ports
from skep.manager.control.validate.resources import check_resources
from skep.manager.control.validate.swarm_words import in_swarms_words
from skep.model import defaults
from skep.model.rules.endpoints import check_endpoint_options
from skep.model.rules.logs import check_log_driver, is_plugin
from skep.model.rules.names import check_service_name
from skep.model.service import MOST_REPLICAS, Service, ServiceSpec, TaskSpec
from skep.store.change import View


def check_spec(view: View, spec: ServiceSpec, current: Service | None = None) -> None:
    """A completed spec, alone and against the cluster. `current` is the service it updates."""
    with in_swarms_words():
        check_service_name(spec.name)
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


def _check_mode(spec: ServiceSpec) -> None:
    wished = spec.mode
    modes = (wished.replicated, wished.global_, wished.replicated_job, wished.global_job)
    if sum(mode is not None for mode in modes) > 1:
        raise InvalidArgument("must specify only one service mode")
    mode = defaults.mode_name(spec)
    if mode in ("replicated-job", "global-job"):
        raise Unimplemented(f"{mode} mode is not supported yet")
    if mode == "replicated" and defaults.replicas_of(spec) > MOST_REPLICAS:
        raise InvalidArgument(
            f"{defaults.replicas_of(spec)} replicas are too many: a service can have at most "
            f"{MOST_REPLICAS}"
        )


def _check_labels(labels: dict[str, str]) -> None:
    if "" in labels:
        raise InvalidArgument("a label needs a name")


def _check_task(spec: TaskSpec) -> None:
    if spec.plugin_spec is not None or spec.runtime == "plugin":
        raise Unimplemented("the runtime plugin is not supported: use container")
    if spec.runtime not in ("", "container"):
        raise InvalidArgument("unsupported runtime")
    if spec.network_attachment_spec is not None:
        raise Unimplemented("NetworkAttachmentSpec is not supported: use ContainerSpec")
    if spec.container_spec is None:
        raise InvalidArgument("TaskSpec: missing runtime: a ContainerSpec with an image is needed")
    check_container(spec.container_spec)
    _check_labels(spec.container_spec.labels)
    check_resources(spec)
    check_placement(defaults.placement(spec))
    if spec.log_driver is not None and not is_plugin(spec.log_driver.name):
        check_log_driver(spec.log_driver.name, spec.log_driver.options)


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
        check_endpoint_options(wish.driver_opts)
