"""What a spec means where its writer said nothing.

Specs are stored as they were written; planners and agents ask here. The numbers are Swarm's
(source: swarmkit api/defaults/service.go). Times in nanoseconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from skep.model.service import (
    DEFAULT_MONITOR_NS,
    DEFAULT_RESTART_DELAY_NS,
    DEFAULT_STOP_GRACE_NS,
    ContainerSpec,
    DNSConfig,
    EndpointSpec,
    NetworkAttachmentConfig,
    Placement,
    PortConfig,
    ReplicatedService,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)

ModeName = Literal["replicated", "global", "replicated-job", "global-job"]

_CONTAINER = ContainerSpec()
_PLACEMENT = Placement()
_RESERVATIONS = Resources()
_ENDPOINT = EndpointSpec()
_RESTART = RestartPolicy()
_UPDATE = UpdateConfig(parallelism=1)


def mode_name(spec: ServiceSpec) -> ModeName:
    """The service's mode in docker's word for it."""
    mode = spec.mode
    if mode.global_ is not None:
        return "global"
    if mode.replicated_job is not None:
        return "replicated-job"
    if mode.global_job is not None:
        return "global-job"
    return "replicated"


def is_global(spec: ServiceSpec) -> bool:
    """One task for each eligible node, rather than a number of slots."""
    return spec.mode.global_ is not None


def replicas(service: Service) -> int:
    """How many slots the service wants now: its spec's number, or the one beside it."""
    beside = service.wanted_replicas
    return replicas_of(service.spec) if beside is None else beside


def wish_beside(service: Service, spec: ServiceSpec) -> int | None:
    """`wanted_replicas` under a new spec: a user who names another number has the last word."""
    return service.wanted_replicas if replicas_of(spec) == replicas_of(service.spec) else None


def replicas_of(spec: ServiceSpec) -> int:
    """How many slots the user of a replicated service asks for; 1 where nothing is said."""
    replicated = spec.mode.replicated
    if replicated is None or replicated.replicas is None:
        return 1
    return replicated.replicas


def container(spec: TaskSpec) -> ContainerSpec:
    return spec.container_spec or _CONTAINER


def placement(spec: TaskSpec) -> Placement:
    return spec.placement or _PLACEMENT


def reservations(spec: TaskSpec) -> Resources:
    """What a task takes from its node's resources; limits take nothing."""
    return (spec.resources and spec.resources.reservations) or _RESERVATIONS


def stop_grace_ns(spec: TaskSpec) -> int:
    """Time between the stop signal and SIGKILL."""
    grace = container(spec).stop_grace_period
    return DEFAULT_STOP_GRACE_NS if grace is None else grace


def restart_condition(spec: TaskSpec) -> Literal["none", "on-failure", "any"]:
    return (spec.restart_policy or _RESTART).condition


def restart_delay_ns(spec: TaskSpec) -> int:
    delay = (spec.restart_policy or _RESTART).delay
    return DEFAULT_RESTART_DELAY_NS if delay is None else delay


def restart_max_attempts(spec: TaskSpec) -> int:
    """0 = no limit."""
    return (spec.restart_policy or _RESTART).max_attempts or 0


def restart_window_ns(spec: TaskSpec) -> int:
    """Attempts older than this do not count; 0 = all count."""
    return (spec.restart_policy or _RESTART).window or 0


def update_config(spec: ServiceSpec) -> UpdateConfig:
    """How a rolling update goes, every field filled in (`parallelism` 0 = all at once)."""
    return _complete(spec.update_config)


def rollback_config(spec: ServiceSpec) -> UpdateConfig:
    """How a rollback goes, every field filled in."""
    return _complete(spec.rollback_config)


def _complete(config: UpdateConfig | None) -> UpdateConfig:
    """Docker reads a `monitor` of 0 as "not said" (moby cluster/convert/service.go)."""
    config = _UPDATE if config is None else config
    return replace(
        config,
        failure_action=config.failure_action or "pause",
        monitor=config.monitor or DEFAULT_MONITOR_NS,
        order=config.order or "stop-first",
    )


def endpoint_mode(spec: ServiceSpec) -> Literal["vip", "dnsrr"]:
    return (spec.endpoint_spec or _ENDPOINT).mode or "vip"


def ports(spec: ServiceSpec) -> list[PortConfig]:
    """The ports that the service wants published."""
    return (spec.endpoint_spec or _ENDPOINT).ports


def publishes_on_ingress(spec: ServiceSpec) -> bool:
    """The service is reached through every node, so it stands on the ingress network."""
    return any(port.publish_mode == "ingress" for port in ports(spec))


def networks(spec: ServiceSpec) -> list[NetworkAttachmentConfig]:
    """Wished networks; the service-level list is the API's older place for them."""
    return spec.task_template.networks or spec.networks


def with_defaults(spec: ServiceSpec) -> ServiceSpec:
    """The spec with Swarm's defaults written in: GET /services/{id}?insertDefaults=true."""
    task = spec.task_template
    return replace(
        spec,
        task_template=replace(
            task,
            container_spec=_complete_container(container(task)),
            resources=task.resources or ResourceRequirements(),
            restart_policy=replace(
                task.restart_policy or _RESTART,
                delay=restart_delay_ns(task),
                max_attempts=restart_max_attempts(task),
            ),
            placement=placement(task),
        ),
        mode=complete_mode(spec),
        update_config=update_config(spec),
        rollback_config=rollback_config(spec),
        endpoint_spec=replace(spec.endpoint_spec or _ENDPOINT, mode=endpoint_mode(spec)),
    )


def _complete_container(spec: ContainerSpec) -> ContainerSpec:
    grace = DEFAULT_STOP_GRACE_NS if spec.stop_grace_period is None else spec.stop_grace_period
    return replace(
        spec,
        stop_grace_period=grace,
        dns_config=spec.dns_config or DNSConfig(),
        isolation=spec.isolation or "default",
    )


def complete_mode(spec: ServiceSpec) -> ServiceMode:
    """The mode with its name and number said."""
    if mode_name(spec) != "replicated":
        return spec.mode
    return ServiceMode(replicated=ReplicatedService(replicas=replicas_of(spec)))
