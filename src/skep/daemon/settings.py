"""What `skep daemon` is told: dockerd's flags, and dockerd's daemon.json for the same.

A key given both ways is an error, as it is for dockerd; flags that may be repeated add up to
nothing: they too may stand in one place only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from skep.engine.settings import DEFAULT_ADDRESS_POOLS, AddressPool, EngineSettings
from skep.kit.errors import InvalidArgument
from skep.model.base import decode_json
from skep.model.service import (
    DiscreteGenericResource,
    GenericResource,
    NamedGenericResource,
)
from skep.network.words import link_name

DEFAULT_HOST = "unix:///run/skep.sock"
DEFAULT_DATA_ROOT = "/var/lib/skep"
DEFAULT_EXEC_ROOT = "/run/skep"
DEFAULT_CONFIG_FILE = "/etc/skep/daemon.json"

LogLevel = Literal["debug", "info", "warn", "error", "fatal"]


class PoolSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base: str
    size: int


class DaemonSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True
):
    """The keys of daemon.json that skep knows; others are refused by name."""

    hosts: list[str] = []
    data_root: str = DEFAULT_DATA_ROOT
    exec_root: str = DEFAULT_EXEC_ROOT
    pidfile: str = ""
    log_level: LogLevel = "info"
    debug: bool = False
    labels: list[str] = []
    insecure_registries: list[str] = []
    node_generic_resources: list[str] = []
    bip: str = ""
    bridge: str = ""
    mtu: int = 1500
    ip_forward_no_drop: bool = False
    default_address_pools: list[PoolSetting] = []
    dns: list[str] = []
    dns_opts: list[str] = []
    dns_search: list[str] = []
    log_opts: dict[str, str] = {}
    default_shm_size: int = 64 * 1024 * 1024
    shutdown_timeout: int = 15


def read_settings(flags: dict[str, Any], config_file: Path | None) -> DaemonSettings:
    """Flags over the file. `flags` holds only what was given, by the keys of daemon.json.

    Without `config_file` the default one is read if it exists. Raises InvalidArgument.
    """
    path = config_file or Path(DEFAULT_CONFIG_FILE)
    if config_file is None and not path.exists():
        stated: dict[str, Any] = {}
    else:
        stated = _read(path)
    if doubled := sorted(stated.keys() & flags.keys()):
        raise InvalidArgument(
            f"given both as a flag and in {path}: {', '.join(doubled)}. Say it in one place"
        )
    settings = decode_json(
        msgspec.json.encode(stated | flags), DaemonSettings, f"daemon settings ({path} and flags)"
    )
    generic_resources(settings.node_generic_resources)
    if settings.bridge:
        link_name(settings.bridge)
    return msgspec.structs.replace(
        settings,
        data_root=str(Path(settings.data_root).absolute()),
        exec_root=str(Path(settings.exec_root).absolute()),
        pidfile=settings.pidfile and str(Path(settings.pidfile).absolute()),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"cannot read the configuration file: {error}") from None
    return decode_json(text, dict[str, Any], str(path)) if text.strip() else {}


def engine_settings(settings: DaemonSettings, open_files: tuple[int, int]) -> EngineSettings:
    """`open_files`: what containers get that ask for no limit of their own."""
    pools = tuple(AddressPool(pool.base, pool.size) for pool in settings.default_address_pools)
    return EngineSettings(
        data_root=Path(settings.data_root),
        exec_root=Path(settings.exec_root),
        instance=instance_of(Path(settings.data_root), Path(settings.exec_root)),
        address_pools=pools or DEFAULT_ADDRESS_POOLS,
        bip=settings.bip,
        bridge_link=settings.bridge,
        bridge_mtu=settings.mtu,
        open_router=settings.ip_forward_no_drop,
        insecure_registries=tuple(settings.insecure_registries),
        dns=tuple(settings.dns),
        dns_search=tuple(settings.dns_search),
        dns_options=tuple(settings.dns_opts),
        default_shm_bytes=settings.default_shm_size,
        log_options=tuple(sorted(settings.log_opts.items())),
        open_files=open_files,
    )


def instance_of(data_root: Path, exec_root: Path) -> str:
    """A few letters that tell a daemon's links, tables and cgroups from another's.

    Made from where the daemon keeps its state, so it is the same after every restart.
    """
    place = f"{data_root.resolve()}|{exec_root.resolve()}"
    return hashlib.sha256(place.encode()).hexdigest()[:5]


def generic_resources(texts: list[str]) -> list[GenericResource]:
    """`gpu=UUID1`, `gpu=UUID2` name things; `ssd=3` counts them. Raises InvalidArgument."""
    found = []
    for text in texts:
        kind, equals, value = text.partition("=")
        if not (kind and equals and value):
            raise InvalidArgument(
                f'invalid node-generic-resource "{text}": write kind=number or kind=name'
            )
        if value.isdigit():
            counted = DiscreteGenericResource(kind=kind, value=int(value))
            found.append(GenericResource(discrete_resource_spec=counted))
        else:
            named = NamedGenericResource(kind=kind, value=value)
            found.append(GenericResource(named_resource_spec=named))
    return found
