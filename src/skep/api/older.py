"""What older clients mean by their words, and what they look for in answers.

Source: the Engine API's version history, and what moby's dockerd does for the versions that it
still answers. What a version did not have yet is left out of its wishes in silence: a client of
that age that sends it never got it, and counts on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from skep.api.filters import Filters
from skep.api.versions import ApiVersion
from skep.model.container import ContainerConfig, ContainerCreate, ContainerInspect, ContainerUpdate
from skep.model.image import ImageInspect, ImageSummary
from skep.model.service import ServiceSpec
from skep.model.system import DiskUsage, SystemInfo

T = TypeVar("T")

_Since = Mapping[ApiVersion, tuple[str, ...]]
"""Version -> the fields that it brought, with dots between the structs that lead there."""

_CONTAINER: _Since = {
    (1, 25): ("host_config.auto_remove",),
    (1, 40): ("host_config.kernel_memory_tcp", "host_config.mounts.bind_options.non_recursive"),
    (1, 42): ("host_config.console_size", "host_config.mounts.bind_options.create_mountpoint"),
    (1, 43): ("host_config.annotations",),
    (1, 44): ("healthcheck.start_interval", "networking_config.endpoints_config.mac_address"),
    (1, 45): ("host_config.mounts.volume_options.subpath",),
    (1, 46): ("host_config.mounts.tmpfs_options.options",),
}
_CONTAINER_UPDATE: _Since = {(1, 40): ("pids_limit",)}
_PROCESS = "task_template.container_spec"
_SERVICE: _Since = {
    (1, 40): (f"{_PROCESS}.sysctls", "task_template.placement.max_replicas"),
    (1, 41): (
        f"{_PROCESS}.capability_add",
        f"{_PROCESS}.capability_drop",
        f"{_PROCESS}.ulimits",
        "task_template.resources.limits.pids",
        "mode.replicated_job",
        "mode.global_job",
    ),
    (1, 44): (
        f"{_PROCESS}.privileges.seccomp",
        f"{_PROCESS}.privileges.app_armor",
        f"{_PROCESS}.privileges.no_new_privileges",
        f"{_PROCESS}.healthcheck.start_interval",
    ),
    (1, 46): (f"{_PROCESS}.mounts.tmpfs_options.options", f"{_PROCESS}.oom_score_adj"),
}


def container(wish: ContainerCreate, version: ApiVersion, cgroup_version: int) -> ContainerCreate:
    """IPC was shareable before 1.40, and the cgroup namespace the host's before 1.41 (on cgroup
    v1): for whoever says nothing."""
    host = wish.host_config
    if version < (1, 40) and not host.ipc_mode:
        host = replace(host, ipc_mode="shareable")
    if version < (1, 41) and cgroup_version == 1 and not host.cgroupns_mode:
        host = replace(host, cgroupns_mode="host")
    return _known(replace(wish, host_config=host), _CONTAINER, version)


def container_update(wish: ContainerUpdate, version: ApiVersion) -> ContainerUpdate:
    return _known(wish, _CONTAINER_UPDATE, version)


def service(spec: ServiceSpec, version: ApiVersion) -> ServiceSpec:
    return _known(spec, _SERVICE, version)


def _known(wish: T, since: _Since, version: ApiVersion) -> T:
    for brought, paths in since.items():
        if version < brought:
            for path in paths:
                wish = _without(wish, path.split("."))
    return wish


def _without(value: Any, path: list[str]) -> Any:
    """`value` with one field at its default, in every item of the lists and maps on the way."""
    match value:
        case None:
            return None
        case list():
            return [_without(item, path) for item in value]
        case dict():
            return {key: _without(item, path) for key, item in value.items()}
    name, *rest = path
    now = _without(getattr(value, name), rest) if rest else _default(type(value), name)
    return replace(value, **{name: now})


def _default(kind: type, name: str) -> Any:
    field = next(field for field in msgspec.structs.fields(kind) if field.name == name)
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def image_filters(filters: Filters, name: str, version: ApiVersion) -> Filters:
    """Before 1.41 `filter` was another way to say `filters={"reference": …}`."""
    if not name or version >= (1, 41):
        return filters
    return {**filters, "reference": filters.get("reference", frozenset()) | {name}}


def volume_prune_filters(filters: Filters, version: ApiVersion) -> Filters:
    """Before 1.42 volumes with a name were pruned as well."""
    return filters if version >= (1, 42) else {**filters, "all": frozenset({"true"})}


def image_rows(rows: list[ImageSummary], version: ApiVersion) -> list[Any]:
    return rows if version >= (1, 44) else [_with_virtual_size(row) for row in rows]


def _with_virtual_size(image: ImageSummary | ImageInspect) -> dict[str, Any]:
    """Before 1.44 the size stood there a second time."""
    return {**msgspec.to_builtins(image), "VirtualSize": image.size}


def image(found: ImageInspect, version: ApiVersion) -> Any:
    """Before 1.45 it was told of the container that an image was committed from: of none here."""
    if version >= (1, 45):
        return found
    shown = _with_virtual_size(found) if version < (1, 44) else msgspec.to_builtins(found)
    return {**shown, "Container": "", "ContainerConfig": ContainerConfig()}


def container_inspect(found: ContainerInspect, version: ApiVersion) -> ContainerInspect:
    """Before 1.45 the short id was among the aliases on a network of the user's."""
    if version >= (1, 45):
        return found
    settings = found.network_settings
    networks = {
        name: endpoint
        if name in _PREDEFINED
        else replace(endpoint, aliases=[*(endpoint.aliases or []), found.id[:12]])
        for name, endpoint in settings.networks.items()
    }
    return replace(found, network_settings=replace(settings, networks=networks))


_PREDEFINED = frozenset({"bridge", "host", "none"})


def disk_usage(found: DiskUsage, version: ApiVersion) -> Any:
    if version >= (1, 44):
        return found
    shown = {**msgspec.to_builtins(found), "Images": image_rows(found.images, version)}
    return shown if version >= (1, 42) else {**shown, "BuilderSize": 0}


def info(found: SystemInfo, version: ApiVersion) -> Any:
    """Before 1.25 a security option was a name alone."""
    if version >= (1, 25):
        return found
    names = [
        word.removeprefix("name=")
        for option in found.security_options
        for word in option.split(",")
        if word.startswith("name=")
    ]
    shown = {"SecurityOptions": names, "ExecutionDriver": "<not supported>"}
    return {**msgspec.to_builtins(found), **shown}
