"""What a spec means where its writer said nothing: Swarm's numbers."""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from skep.kit.clock import NS_PER_S
from skep.model import defaults
from skep.model.service import (
    ContainerSpec,
    DNSConfig,
    EndpointSpec,
    GlobalService,
    NetworkAttachmentConfig,
    Placement,
    PortConfig,
    ReplicatedJob,
    ReplicatedService,
    ResourceRequirements,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)

EMPTY = ServiceSpec()
SWARMS_UPDATE = UpdateConfig(
    parallelism=1,
    delay=0,
    failure_action="pause",
    monitor=5 * NS_PER_S,
    max_failure_ratio=0.0,
    order="stop-first",
)


def test_an_empty_spec_is_swarms_defaults() -> None:
    assert defaults.with_defaults(EMPTY) == ServiceSpec(
        task_template=TaskSpec(
            container_spec=ContainerSpec(
                stop_grace_period=10 * NS_PER_S, dns_config=DNSConfig(), isolation="default"
            ),
            resources=ResourceRequirements(),
            restart_policy=RestartPolicy(condition="any", delay=5 * NS_PER_S, max_attempts=0),
            placement=Placement(),
        ),
        mode=ServiceMode(replicated=ReplicatedService(replicas=1)),
        update_config=SWARMS_UPDATE,
        rollback_config=SWARMS_UPDATE,
        endpoint_spec=EndpointSpec(mode="vip"),
    )


def test_what_was_said_stands() -> None:
    said = ServiceSpec(
        task_template=TaskSpec(
            container_spec=ContainerSpec(stop_grace_period=0, isolation="default"),
            restart_policy=RestartPolicy(condition="none", delay=0, max_attempts=3, window=7),
        ),
        mode=ServiceMode(global_=GlobalService()),
        update_config=UpdateConfig(
            parallelism=0, failure_action="rollback", monitor=1, order="start-first"
        ),
        endpoint_spec=EndpointSpec(mode="dnsrr"),
    )
    full = defaults.with_defaults(said)
    assert defaults.container(full.task_template).stop_grace_period == 0
    assert full.task_template.restart_policy == said.task_template.restart_policy
    assert (full.mode, full.endpoint_spec) == (said.mode, said.endpoint_spec)
    assert full.update_config == said.update_config
    assert defaults.with_defaults(full) == full


def test_update_settings_that_are_given_in_part_keep_dockers_zero_for_all_at_once() -> None:
    given = replace(EMPTY, update_config=UpdateConfig(delay=3))
    assert defaults.update_config(given) == replace(SWARMS_UPDATE, parallelism=0, delay=3)


def test_a_monitor_of_zero_was_not_said() -> None:
    given = replace(EMPTY, rollback_config=UpdateConfig(parallelism=1, monitor=0))
    assert defaults.rollback_config(given) == SWARMS_UPDATE


def test_modes_have_dockers_names() -> None:
    def named(**mode: Any) -> str:
        return defaults.mode_name(replace(EMPTY, mode=ServiceMode(**mode)))

    assert named() == "replicated"
    assert named(replicated=ReplicatedService(replicas=2)) == "replicated"
    assert named(global_=GlobalService()) == "global"
    assert named(replicated_job=ReplicatedJob()) == "replicated-job"


def test_zero_replicas_are_not_one() -> None:
    none = ServiceMode(replicated=ReplicatedService(replicas=0))
    assert defaults.replicas_of(replace(EMPTY, mode=none)) == 0
    assert defaults.replicas_of(EMPTY) == 1


def test_networks_are_read_from_both_places_the_newer_first() -> None:
    new, old = NetworkAttachmentConfig(target="new"), NetworkAttachmentConfig(target="old")
    legacy = replace(EMPTY, networks=[old])
    assert defaults.networks(legacy) == [old]
    both = replace(legacy, task_template=TaskSpec(networks=[new]))
    assert defaults.networks(both) == [new]


def test_only_ingress_ports_stand_on_the_ingress_network() -> None:
    def publishes(mode: Literal["ingress", "host"]) -> bool:
        ports = [PortConfig(target_port=80, publish_mode=mode)]
        return defaults.publishes_on_ingress(
            replace(EMPTY, endpoint_spec=EndpointSpec(ports=ports))
        )

    assert publishes("ingress")
    assert not publishes("host")
    assert not defaults.publishes_on_ingress(EMPTY)
