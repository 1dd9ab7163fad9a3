"""The flags of service create as a ServiceSpec."""

from __future__ import annotations

import os
from typing import Any

from skep.cli.commands.health_flags import health_check
from skep.cli.commands.service_parts import (
    Spec,
    container_scalars,
    credential_spec,
    limits,
    log_driver,
    rebalance_label,
    reservations,
    restart_policy,
    rollout,
    swarm_host,
)
from skep.cli.flags.flag import Options
from skep.cli.values.pairs import environment, key_value_files, mapping

_ROLLOUT_FLAGS = tuple(
    f"{name}-{part}"
    for name in ("update", "rollback")
    for part in ("delay", "failure-action", "max-failure-ratio", "monitor", "order", "parallelism")
)


def service_spec(options: Options, image: str, arguments: list[str]) -> Spec:
    """Raises ValueError for flags that cannot go together.

    Networks, secrets and configs are added by who can look them up.
    """
    task = _filled(
        {
            "ContainerSpec": _container(options, image, arguments),
            "Resources": _resources(options),
            "RestartPolicy": restart_policy(options),
            "Placement": _placement(options),
            "LogDriver": log_driver(options),
        }
    )
    spec = {
        "Name": options.text("name"),
        "Labels": {**mapping(options.items("label")), **rebalance_label(options)},
        "TaskTemplate": task,
        "Mode": service_mode(options),
        "UpdateConfig": rollout(options, "update"),
        "RollbackConfig": rollout(options, "rollback"),
        "EndpointSpec": _filled(
            {
                "Mode": options.text("endpoint-mode").lower(),
                "Ports": [port for ports in options.items("publish") for port in ports],
            }
        ),
    }
    return {key: value for key, value in spec.items() if value is not None}


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value or value is False}


def _container(options: Options, image: str, arguments: list[str]) -> Spec:
    files = key_value_files(options.items("env-file"))
    dns = {
        "Nameservers": options.items("dns"),
        "Options": options.items("dns-option"),
        "Search": options.items("dns-search"),
    }
    spec = {
        "Image": image,
        "Args": arguments,
        "Env": environment([*files, *options.items("env")], os.environ),
        "Labels": mapping(options.items("container-label")),
        "Groups": options.items("group"),
        "Mounts": options.items("mount"),
        "Hosts": [swarm_host(each) for each in options.items("host")],
        "DNSConfig": _filled(dns),
        "Sysctls": mapping(options.items("sysctl")),
        "Ulimits": options.items("ulimit"),
        "CapabilityAdd": options.items("cap-add"),
        "CapabilityDrop": options.items("cap-drop"),
        "Healthcheck": health_check(options),
    }
    if options.text("credential-spec"):
        spec["Privileges"] = credential_spec(options.text("credential-spec"))
    return {**_filled(spec), **container_scalars(options)}


def _resources(options: Options) -> Spec:
    reserved = reservations(options)
    if options.items("generic-resource"):
        reserved["GenericResources"] = options.items("generic-resource")
    return _filled({"Limits": limits(options), "Reservations": reserved})


def _placement(options: Options) -> Spec:
    return _filled(
        {
            "Constraints": options.items("constraint"),
            "Preferences": options.items("placement-pref"),
            "MaxReplicas": options.number("replicas-max-per-node"),
        }
    )


def service_mode(options: Options) -> Spec:
    """The Mode of --mode, --replicas and --max-concurrent."""
    mode = options.text("mode")
    replicas = options.value("replicas")
    concurrent = options.value("max-concurrent")
    if mode.startswith("global"):
        _refuse_counts(options)
    elif mode != "replicated-job" and concurrent is not None:
        raise ValueError("max-concurrent can only be used with replicated-job mode")
    if mode.endswith("-job"):
        _refuse_rollout(options)
    match mode:
        case "replicated":
            return {"Replicated": {} if replicas is None else {"Replicas": replicas}}
        case "global":
            return {"Global": {}}
        case "replicated-job":
            counts = {
                "MaxConcurrent": replicas if concurrent is None else concurrent,
                "TotalCompletions": replicas,
            }
            return {"ReplicatedJob": {k: v for k, v in counts.items() if v is not None}}
        case "global-job":
            return {"GlobalJob": {}}
    raise ValueError(
        f"Unknown mode: {mode}, only replicated, global, replicated-job and global-job "
        "are supported"
    )


def _refuse_counts(options: Options) -> None:
    if options.given("replicas"):
        raise ValueError("replicas can only be used with replicated or replicated-job mode")
    if options.given("replicas-max-per-node"):
        raise ValueError(
            "replicas-max-per-node can only be used with replicated or replicated-job mode"
        )
    if options.given("max-concurrent"):
        raise ValueError("max-concurrent can only be used with replicated-job mode")


def _refuse_rollout(options: Options) -> None:
    if options.any_given(*_ROLLOUT_FLAGS):
        raise ValueError("update and rollback configuration is not supported for jobs")
