"""A task as a container: pure translation of the service's spec into the engine's wish.

What is translated is what Swarm's executor does (source: moby daemon/cluster/executor/container).
"""

from __future__ import annotations

from collections.abc import Iterable

from skep.engine import EndpointWish, HostEntry, PortWish, Wish
from skep.kit.clock import NS_PER_S
from skep.model.container import ContainerConfig, EndpointSettings, HostConfig, LogConfig
from skep.model.defaults import container as container_spec
from skep.model.defaults import stop_grace_ns
from skep.model.node import Node
from skep.model.service import (
    ContainerSpec,
    DNSConfig,
    GenericResource,
    Limit,
    PortConfig,
    Privileges,
    ResourceRequirements,
    TaskSpec,
)
from skep.model.task import Task, task_name
from skep.model.template import context_of, expanded

TASK_ID_LABEL = "com.docker.swarm.task.id"
_PREDEFINED = {"host": "host", "bridge": "default", "none": "none"}
_SECCOMP = {"unconfined": "seccomp=unconfined"}


def managed_labels(task: Task) -> dict[str, str]:
    """The labels by which people, tools and this agent know a task's container."""
    return {
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_annotations.name,
        "com.docker.swarm.task": "",
        TASK_ID_LABEL: task.id,
        "com.docker.swarm.task.name": task_name(task),
    }


def container_wish(task: Task, node: Node) -> Wish:
    """The container that the task asks for. Raises InvalidArgument for its templates."""
    spec = expanded(container_spec(task.spec), context_of(task, node))
    return Wish(
        config=_config(task, spec),
        host=_host_config(task, spec),
        ports=tuple(map(_host_port, host_ports(task))),
        hosts=tuple(entry for line in spec.hosts for entry in _host_entries(line)),
        endpoints=_endpoints(task),
    )


def _config(task: Task, spec: ContainerSpec) -> ContainerConfig:
    return ContainerConfig(
        image=spec.image,
        hostname=spec.hostname,
        user=spec.user,
        tty=spec.tty,
        open_stdin=spec.open_stdin,
        env=spec.env + _generic_env(task.assigned_generic_resources),
        entrypoint=list(spec.command) or None,
        cmd=list(spec.args) or None,
        healthcheck=spec.healthcheck,
        working_dir=spec.dir,
        labels=spec.labels,
        stop_signal=spec.stop_signal,
        stop_timeout=stop_grace_s(task.spec),
    )


def stop_grace_s(spec: TaskSpec) -> int:
    """Seconds between the stop signal and the kill, rounded up."""
    return -(-stop_grace_ns(spec) // NS_PER_S)


def _host_config(task: Task, spec: ContainerSpec) -> HostConfig:
    limits = (task.spec.resources or ResourceRequirements()).limits or Limit()
    dns = spec.dns_config or DNSConfig()
    driver = task.spec.log_driver
    return HostConfig(
        mounts=spec.mounts,
        nano_cpus=limits.nano_cpus,
        memory=limits.memory_bytes,
        pids_limit=limits.pids or None,
        dns=dns.nameservers,
        dns_search=dns.search,
        dns_options=dns.options,
        log_config=LogConfig(type=driver.name, config=driver.options) if driver else LogConfig(),
        sysctls=spec.sysctls,
        cap_add=spec.capability_add,
        cap_drop=spec.capability_drop,
        ulimits=spec.ulimits,
        init=spec.init,
        readonly_rootfs=spec.read_only,
        oom_score_adj=spec.oom_score_adj,
        group_add=spec.groups,
        security_opt=_security_options(spec.privileges or Privileges()),
        network_mode=_network_mode(task),
    )


def _host_entries(line: str) -> list[HostEntry]:
    """A line in the order of a hosts file: `10.0.0.1 db db.local`."""
    address, *names = line.split()
    return [HostEntry(name, address) for name in names]


def _security_options(privileges: Privileges) -> list[str]:
    options = []
    if privileges.no_new_privileges:
        options.append("no-new-privileges")
    if privileges.seccomp and privileges.seccomp.mode == "custom":
        options.append("seccomp=" + privileges.seccomp.profile.decode())
    elif privileges.seccomp and privileges.seccomp.mode in _SECCOMP:
        options.append(_SECCOMP[privileges.seccomp.mode])
    if privileges.app_armor and privileges.app_armor.mode == "disabled":
        options.append("apparmor=unconfined")
    return options


def host_ports(task: Task) -> list[PortConfig]:
    """Those that are the task's own, on its node alone."""
    return [port for port in task.ports if port.publish_mode == "host"]


def _host_port(port: PortConfig) -> PortWish:
    return PortWish(port=port.target_port, protocol=port.protocol, host_port=port.published_port)


def _network_mode(task: Task) -> str:
    for attachment in task.networks_attachments:
        name = attachment.network.spec.name
        return _PREDEFINED.get(name, attachment.network.id)
    return "default"


def _endpoints(task: Task) -> tuple[EndpointWish, ...]:
    """Cluster networks are joined by id, at the addresses that the manager gave."""
    return tuple(
        EndpointWish(
            network=attachment.network.id,
            settings=EndpointSettings(aliases=attachment.aliases or None),
            addresses=tuple(attachment.addresses),
        )
        for attachment in task.networks_attachments
        if attachment.addresses
    )


def _generic_env(resources: Iterable[GenericResource]) -> list[str]:
    """`DOCKER_RESOURCE_GPU=a,b`: how Swarm tells a container what it was given."""
    values: dict[str, list[str]] = {}
    for resource in resources:
        if resource.named_resource_spec is not None:
            named = resource.named_resource_spec
            values.setdefault(named.kind, []).append(named.value)
        elif resource.discrete_resource_spec is not None:
            discrete = resource.discrete_resource_spec
            values.setdefault(discrete.kind, []).append(str(discrete.value))
    return [f"DOCKER_RESOURCE_{kind.upper()}={','.join(v)}" for kind, v in sorted(values.items())]
