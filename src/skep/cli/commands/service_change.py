"""The flags of service update applied to a ServiceSpec that the daemon has now. Pure."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from typing import Any

from skep.cli.commands.health_flags import health_check
from skep.cli.commands.service_parts import (
    REBALANCE,
    Spec,
    container_scalars,
    credential_spec,
    limits,
    log_driver,
    rebalance_label,
    reservations,
    restart_policy,
    rollout_change,
    swarm_host,
)
from skep.cli.commands.service_scale import set_replicas
from skep.cli.flags.flag import Options
from skep.cli.values.pairs import environment, mapping
from skep.cli.values.placement import generic_kind
from skep.cli.values.words import split_command

_DEFAULT_PARALLELISM = 1


def changed_spec(spec: Spec, options: Options) -> Spec:
    """A copy of `spec` with what the flags say; raises ValueError for what cannot be.

    Networks, secrets and configs are changed by who can look them up.
    """
    changed = copy.deepcopy(spec)
    task = changed.setdefault("TaskTemplate", {})
    container = task.setdefault("ContainerSpec", {})
    _change_container(container, options)
    _change_task(task, options)
    _change_mode(changed, options)
    _change_endpoint(changed, options)
    _change_map(changed, "Labels", options, "label")
    _change_rebalance(changed, options)
    for name, key in (("update", "UpdateConfig"), ("rollback", "RollbackConfig")):
        change = rollout_change(options, name)
        if change:
            before = changed.get(key) or {"Parallelism": _DEFAULT_PARALLELISM}
            changed[key] = {**before, **change}
    return changed


def _change_rebalance(changed: Spec, options: Options) -> None:
    if options.given("rebalance"):
        labels = changed.get("Labels") or {}
        kept = {name: value for name, value in labels.items() if name != REBALANCE}
        changed["Labels"] = {**kept, **rebalance_label(options)}


def _change_container(container: Spec, options: Options) -> None:
    if options.given("image"):
        container["Image"] = options.text("image")
    if options.given("args"):
        container["Args"] = split_command(options.text("args"))
    container.update(container_scalars(options))
    if options.text("credential-spec"):
        container["Privileges"] = {
            **(container.get("Privileges") or {}),
            **credential_spec(options.text("credential-spec")),
        }
    _change_map(container, "Labels", options, "container-label")
    _change_map(container, "Sysctls", options, "sysctl")
    _change_env(container, options)
    _change_list(container, "Groups", options, "group")
    _change_keyed(container, "Mounts", options, "mount", lambda mount: str(mount["Target"]))
    _change_keyed(container, "Ulimits", options, "ulimit", lambda ulimit: str(ulimit["Name"]))
    _change_capabilities(container, options)
    _change_hosts(container, options)
    _change_dns(container, options)
    _change_health(container, options)


def _change_env(container: Spec, options: Options) -> None:
    if not options.any_given("env-add", "env-rm"):
        return
    kept = {entry.partition("=")[0]: entry for entry in container.get("Env") or []}
    for entry in environment(options.items("env-add"), os.environ):
        kept[entry.partition("=")[0]] = entry
    for name in options.items("env-rm"):
        kept.pop(name, None)
    container["Env"] = list(kept.values())


def _change_capabilities(container: Spec, options: Options) -> None:
    """Added ones are no longer dropped, and the other way round."""
    if not options.any_given("cap-add", "cap-drop"):
        return
    add, drop = container.get("CapabilityAdd") or [], container.get("CapabilityDrop") or []
    more, less = options.items("cap-add"), options.items("cap-drop")
    container["CapabilityAdd"] = _unique([*(c for c in add if c not in less), *more])
    container["CapabilityDrop"] = _unique([*(c for c in drop if c not in more), *less])


def _change_hosts(container: Spec, options: Options) -> None:
    if not options.any_given("host-add", "host-rm"):
        return
    hosts: list[str] = list(container.get("Hosts") or [])
    for gone in options.items("host-rm"):
        name, colon, address = gone.partition(":")
        hosts = [host for host in hosts if not _is_host(host, name, address if colon else None)]
    added = [swarm_host(each) for each in options.items("host-add")]
    container["Hosts"] = _unique([*hosts, *added])


def _is_host(entry: str, name: str, address: str | None) -> bool:
    known, _, names = entry.partition(" ")
    return name in names.split() and address in (None, known)


def _change_dns(container: Spec, options: Options) -> None:
    dns = container.get("DNSConfig") or {}
    _change_list(dns, "Nameservers", options, "dns")
    _change_list(dns, "Options", options, "dns-option")
    _change_list(dns, "Search", options, "dns-search")
    if dns:
        container["DNSConfig"] = dns


def _change_health(container: Spec, options: Options) -> None:
    check = health_check(options)
    if check and options.yes("no-healthcheck"):
        container["Healthcheck"] = check
    elif check:
        before = container.get("Healthcheck") or {}
        if before.get("Test") == ["NONE"]:
            before = {key: value for key, value in before.items() if key != "Test"}
        container["Healthcheck"] = {**before, **check}


def _change_task(task: Spec, options: Options) -> None:
    if options.yes("force"):
        task["ForceUpdate"] = int(task.get("ForceUpdate") or 0) + 1
    restart = restart_policy(options)
    if restart:
        task["RestartPolicy"] = {**(task.get("RestartPolicy") or {}), **restart}
    driver = log_driver(options)
    if driver:
        task["LogDriver"] = driver
    _change_resources(task, options)
    _change_placement(task, options)


def _change_resources(task: Spec, options: Options) -> None:
    resources = dict(task.get("Resources") or {})
    for key, change in (("Limits", limits(options)), ("Reservations", reservations(options))):
        if change:
            resources[key] = {**(resources.get(key) or {}), **change}
    if options.any_given("generic-resource-add", "generic-resource-rm"):
        reserved = dict(resources.get("Reservations") or {})
        _change_keyed(reserved, "GenericResources", options, "generic-resource", generic_kind)
        resources["Reservations"] = reserved
    if resources:
        task["Resources"] = resources


def _change_placement(task: Spec, options: Options) -> None:
    placement = dict(task.get("Placement") or {})
    _change_list(placement, "Constraints", options, "constraint")
    if options.any_given("placement-pref-add", "placement-pref-rm"):
        gone = options.items("placement-pref-rm")
        kept = [each for each in placement.get("Preferences") or [] if each not in gone]
        placement["Preferences"] = [*kept, *options.items("placement-pref-add")]
    if options.given("replicas-max-per-node"):
        placement["MaxReplicas"] = options.number("replicas-max-per-node")
    if placement:
        task["Placement"] = placement


def _change_mode(spec: Spec, options: Options) -> None:
    if options.given("replicas"):
        if "Replicated" not in spec["Mode"] and "ReplicatedJob" not in spec["Mode"]:
            raise ValueError("replicas can only be used with replicated or replicated-job mode")
        set_replicas(spec["Mode"], options.number("replicas"))
    if options.given("max-concurrent"):
        if "ReplicatedJob" not in spec["Mode"]:
            raise ValueError("max-concurrent can only be used with replicated-job mode")
        spec["Mode"]["ReplicatedJob"]["MaxConcurrent"] = options.number("max-concurrent")


def _change_endpoint(spec: Spec, options: Options) -> None:
    endpoint = dict(spec.get("EndpointSpec") or {})
    if options.given("endpoint-mode"):
        endpoint["Mode"] = options.text("endpoint-mode").lower()
    if options.any_given("publish-add", "publish-rm"):
        added = [port for ports in options.items("publish-add") for port in ports]
        endpoint["Ports"] = changed_ports(
            endpoint.get("Ports") or [], added, options.items("publish-rm")
        )
    if endpoint:
        spec["EndpointSpec"] = endpoint


def changed_ports(
    ports: list[dict[str, Any]],
    added: list[dict[str, Any]],
    removed: list[tuple[int, str | None]],
) -> list[dict[str, Any]]:
    """Ports without those removed by target, with those added; the same port once."""
    kept = [port for port in ports if not any(_is_target(port, gone) for gone in removed)]
    by_key = {_port_key(port): port for port in (*kept, *added)}
    return sorted(by_key.values(), key=lambda port: int(port.get("PublishedPort", 0)))


def _is_target(port: dict[str, Any], removed: tuple[int, str | None]) -> bool:
    target, protocol = removed
    return bool(port["TargetPort"] == target and protocol in (None, port.get("Protocol", "tcp")))


def _port_key(port: dict[str, Any]) -> tuple[Any, ...]:
    return (
        port.get("PublishedPort", 0),
        port["TargetPort"],
        port.get("Protocol", "tcp"),
        port.get("PublishMode", "ingress"),
    )


def _change_map(holder: Spec, key: str, options: Options, flag: str) -> None:
    """`--<flag>-add` and `--<flag>-rm` on a mapping."""
    if options.any_given(f"{flag}-add", f"{flag}-rm"):
        kept = {**(holder.get(key) or {}), **mapping(options.items(f"{flag}-add"))}
        gone = options.items(f"{flag}-rm")
        holder[key] = {name: value for name, value in kept.items() if name not in gone}


def _change_list(holder: Spec, key: str, options: Options, flag: str) -> None:
    """The same on a list of texts."""
    if options.any_given(f"{flag}-add", f"{flag}-rm"):
        gone = options.items(f"{flag}-rm")
        kept = [each for each in holder.get(key) or [] if each not in gone]
        holder[key] = _unique([*kept, *options.items(f"{flag}-add")])


def _change_keyed(
    holder: Spec, key: str, options: Options, flag: str, key_of: Callable[[Spec], str]
) -> None:
    """The same on a list of objects, of which a later one replaces the one with its key."""
    if options.any_given(f"{flag}-add", f"{flag}-rm"):
        gone = options.items(f"{flag}-rm")
        kept = {key_of(each): each for each in holder.get(key) or [] if key_of(each) not in gone}
        kept.update({key_of(each): each for each in options.items(f"{flag}-add")})
        holder[key] = list(kept.values())


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
