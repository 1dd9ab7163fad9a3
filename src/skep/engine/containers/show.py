"""A container as inspect and ps show it. Pure: what costs a look at the disk is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from skep.engine.containers.container import Container, Places
from skep.engine.containers.ports import exposed_keys, parse_port, port_key
from skep.engine.containers.record import MountRecord, Record
from skep.engine.containers.words import status_words
from skep.engine.networks.endpoint import dns_names, settings_of
from skep.model.container import (
    ContainerGraphDriver,
    ContainerInspect,
    ContainerSummary,
    EndpointSettings,
    MountPoint,
    NetworkSettings,
    Port,
    PortBinding,
    StateInspect,
    SummaryHostConfig,
    SummaryNetworks,
)
from skep.network.values import PublishedPort

DEFAULT_NETWORK = "bridge"


class Sizes:
    """Bytes of a container's own files, and of all that it sees; UNSET when not asked for."""

    def __init__(self, own: int | UnsetType = UNSET, everything: int | UnsetType = UNSET) -> None:
        self.own = own
        self.everything = everything


def inspected(
    container: Container,
    places: Places,
    volume_folders: Mapping[str, Path],
    *,
    layers: Sequence[Path],
    exec_ids: list[str],
    sizes: Sizes,
    apparmor_profile: str,
) -> ContainerInspect:
    record = container.record
    return ContainerInspect(
        id=record.id,
        created=record.created_at,
        path=record.argv[0],
        args=list(record.argv[1:]),
        state=_state(container),
        image=record.image_id,
        resolv_conf_path=str(places.etc(record.id, "resolv.conf")),
        hostname_path=str(places.etc(record.id, "hostname")),
        hosts_path=str(places.etc(record.id, "hosts")),
        log_path=_log_path(record, places),
        name=f"/{record.name}",
        restart_count=record.restart_count,
        app_armor_profile=apparmor_profile,
        exec_ids=exec_ids or None,
        host_config=record.host_config,
        graph_driver=_graph_driver(record, places, layers),
        size_rw=sizes.own,
        size_root_fs=sizes.everything,
        mounts=mount_points(record, volume_folders),
        config=record.config,
        network_settings=_network_settings(container),
    )


def _state(container: Container) -> StateInspect:
    record, state = container.record, container.state
    return StateInspect(
        status=state,
        running=container.running or container.restarting,
        paused=state == "paused",
        restarting=container.restarting,
        oom_killed=record.oom_killed,
        dead=container.dead,
        pid=container.pid,
        exit_code=record.exit_code,
        error=record.error,
        started_at=record.started_at,
        finished_at=record.finished_at,
        health=UNSET if container.health is None else container.health,
    )


def _log_path(record: Record, places: Places) -> str:
    return "" if record.host_config.log_config.type == "none" else str(places.log(record.id))


def _graph_driver(record: Record, places: Places, layers: Sequence[Path]) -> ContainerGraphDriver:
    return ContainerGraphDriver(
        data={
            "LowerDir": ":".join(map(str, layers)),
            "MergedDir": str(places.rootfs(record.id)),
            "UpperDir": str(places.upper(record.id)),
            "WorkDir": str(places.work(record.id)),
        }
    )


def mount_points(record: Record, volume_folders: Mapping[str, Path]) -> list[MountPoint]:
    return [_mount_point(mount, volume_folders) for mount in record.mounts]


def _mount_point(mount: MountRecord, volume_folders: Mapping[str, Path]) -> MountPoint:
    is_volume = mount.type == "volume"
    return MountPoint(
        type=mount.type,
        name=mount.source if is_volume else "",
        source=str(volume_folders.get(mount.source, "")) if is_volume else mount.source,
        destination=mount.destination,
        driver="local" if is_volume else "",
        mode=mount.mode,
        rw=not mount.read_only,
        propagation=mount.propagation,
    )


def endpoint_settings(record: Record) -> dict[str, EndpointSettings]:
    """Network name -> place on it. The default bridge resolves no names."""
    return {
        each.network_name: settings_of(
            each,
            None
            if each.network_name == DEFAULT_NETWORK
            else list(dns_names(each, record.id, record.name)),
        )
        for each in record.endpoints
    }


def _network_settings(container: Container) -> NetworkSettings:
    record = container.record
    networks = endpoint_settings(record)
    mode = record.host_config.network_mode
    if mode in {"host", "none"}:
        networks = {mode: EndpointSettings()}
    bridge = networks.get(DEFAULT_NETWORK, EndpointSettings())
    return NetworkSettings(
        sandbox_id=record.id if container.running else "",
        ports=port_map(record) if container.running else {},
        endpoint_id=bridge.endpoint_id,
        gateway=bridge.gateway,
        global_ipv6_address=bridge.global_ipv6_address,
        global_ipv6_prefix_len=bridge.global_ipv6_prefix_len,
        ip_address=bridge.ip_address,
        ip_prefix_len=bridge.ip_prefix_len,
        ipv6_gateway=bridge.ipv6_gateway,
        mac_address=bridge.mac_address,
        networks=networks,
    )


def port_map(record: Record) -> dict[str, list[PortBinding] | None]:
    """`80/tcp` -> where the host leads to it from; None: exposed only."""
    shown: dict[str, list[PortBinding] | None] = dict.fromkeys(
        exposed_keys(record.config, record.host_config)
    )
    for published in record.ports:
        for backend in published.backends[:1]:
            key = port_key(backend.port, published.protocol)
            bindings = [
                PortBinding(host_ip=ip, host_port=str(published.host_port))
                for ip in host_ips(published)
            ]
            shown[key] = [*(shown.get(key) or []), *bindings]
    return shown


def host_ips(published: PublishedPort) -> tuple[str, ...]:
    """Every address of the host is shown as one for each IP version."""
    return (published.host_ip,) if published.host_ip else ("0.0.0.0", "::")


def summarised(
    container: Container,
    now: datetime,
    volume_folders: Mapping[str, Path],
    sizes: Sizes,
) -> ContainerSummary:
    record = container.record
    return replace(
        outlined(container),
        ports=listed_ports(container),
        size_rw=sizes.own,
        size_root_fs=sizes.everything,
        labels=record.config.labels,
        status=status_words(container, now),
        network_settings=SummaryNetworks(networks=endpoint_settings(record)),
        mounts=mount_points(record, volume_folders),
    )


def outlined(container: Container) -> ContainerSummary:
    """The least that must be known of a container: what is it called, and does it run."""
    record = container.record
    return ContainerSummary(
        id=record.id,
        names=[f"/{record.name}"],
        image=record.config.image,
        image_id=record.image_id,
        command=" ".join(record.argv),
        created=int(record.created_at.timestamp()),
        state=container.state,
        status=container.state.capitalize(),
        host_config=SummaryHostConfig(network_mode=record.host_config.network_mode),
    )


def listed_ports(container: Container) -> list[Port]:
    """Nothing while it does not run, as docker."""
    if not container.running:
        return []
    rows = []
    for key, bindings in port_map(container.record).items():
        private, protocol = parse_port(key)
        if bindings is None:
            rows.append(Port(private_port=private, type=protocol))
        rows += [
            Port(
                ip=binding.host_ip,
                private_port=private,
                public_port=int(binding.host_port),
                type=protocol,
            )
            for binding in bindings or ()
        ]
    return rows
