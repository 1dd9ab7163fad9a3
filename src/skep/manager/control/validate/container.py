"""The container part of a spec: image, mounts, health check, environment."""

from __future__ import annotations

import signal
from ipaddress import ip_address

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.kit.numbers import parse_int
from skep.model import template
from skep.model.reference import parse_reference
from skep.model.service import ContainerSpec, HealthConfig, Mount, Privileges

_SHORTEST_HEALTH_NS = 1_000_000
_UNSUPPORTED_MOUNTS = ("npipe", "cluster", "image")


def check_container(spec: ContainerSpec) -> None:
    _check_image(spec.image)
    _check_mounts(spec.mounts)
    if spec.healthcheck is not None:
        _check_health(spec.healthcheck)
    _check_process(spec)
    _check_names(spec)
    _check_templates(spec)
    if spec.privileges is not None:
        _check_privileges(spec.privileges)
    if spec.secrets:
        raise Unimplemented("secrets are not supported yet")
    if spec.configs:
        raise Unimplemented("configs are not supported yet")


def _check_image(image: str) -> None:
    if not image:
        raise InvalidArgument("ContainerSpec: image reference must be provided")
    try:
        parse_reference(image)
    except InvalidArgument as error:
        raise InvalidArgument(
            f'ContainerSpec: "{image}" is not a valid repository/tag: {error}'
        ) from None


def _check_mounts(mounts: list[Mount]) -> None:
    targets: set[str] = set()
    for mount in mounts:
        _check_mount(mount)
        if mount.target in targets:
            raise InvalidArgument(f"ContainerSpec: duplicate mount point: {mount.target}")
        targets.add(mount.target)


def _check_mount(mount: Mount) -> None:
    if mount.type in _UNSUPPORTED_MOUNTS:
        raise Unimplemented(f"mounts of the type {mount.type} are not supported")
    if not mount.target:
        raise InvalidArgument("invalid mount target, target must not be empty")
    if not mount.target.startswith(("/", "{{")):
        raise InvalidArgument(f"invalid mount target, must be an absolute path: {mount.target}")
    if mount.type == "bind":
        _check_bind(mount)
    if mount.type == "tmpfs" and mount.source:
        raise InvalidArgument("invalid tmpfs source, source must be empty")
    if mount.volume_options is not None and mount.volume_options.subpath:
        raise Unimplemented("the volume option Subpath is not supported: mount the whole volume")


def _check_bind(mount: Mount) -> None:
    if not mount.source:
        raise InvalidArgument("invalid bind mount source, source must not be empty")
    if not mount.source.startswith(("/", "{{")):
        raise InvalidArgument(
            f"invalid bind mount source, must be an absolute path: {mount.source}"
        )


def _check_health(health: HealthConfig) -> None:
    if health.test and health.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(
            f"ContainerSpec: the health check's Test must begin with NONE, CMD or CMD-SHELL, "
            f'not "{health.test[0]}"'
        )
    durations = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    for name, duration_ns in durations.items():
        if 0 < duration_ns < _SHORTEST_HEALTH_NS:
            raise InvalidArgument(f"ContainerSpec: {name} in HealthConfig cannot be less than 1ms")


def _check_process(spec: ContainerSpec) -> None:
    for entry in spec.env:
        if not entry.partition("=")[0]:
            raise InvalidArgument(f'invalid environment variable: "{entry}"')
    if spec.dir and not spec.dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{spec.dir}' is invalid, it needs to be an absolute path"
        )
    if spec.stop_signal and not _is_signal(spec.stop_signal):
        raise InvalidArgument(f"invalid stop signal: {spec.stop_signal}")
    if spec.isolation not in ("", "default"):
        raise InvalidArgument(f"isolation {spec.isolation} exists on Windows only: use default")


def _check_templates(spec: ContainerSpec) -> None:
    """What no task could expand is refused at once, as Swarm does by a dry run."""
    texts = [("hostname", spec.hostname), *(("env", entry) for entry in spec.env)]
    texts += [("mount", text) for mount in spec.mounts for text in (mount.source, mount.target)]
    for where, text in texts:
        try:
            template.check(text)
        except InvalidArgument as error:
            raise InvalidArgument(f"expanding {where} failed: {error}") from None


def _is_signal(text: str) -> bool:
    """`SIGTERM`, `TERM`, `SIGRTMIN+3` or `15`."""
    name = text.upper().removeprefix("SIG")
    try:
        if text[:1].isdigit():
            parse_int(text, 1, signal.NSIG - 1)
        elif name.startswith(("RTMIN+", "RTMAX-")):
            parse_int(name[6:], 0, signal.SIGRTMAX - signal.SIGRTMIN)
        else:
            return f"SIG{name}" in signal.Signals.__members__
    except ValueError:
        return False
    return True


def _check_names(spec: ContainerSpec) -> None:
    for server in spec.dns_config.nameservers if spec.dns_config is not None else ():
        if not _is_address(server):
            raise InvalidArgument(f"invalid DNS server: {server} is not an IP address")
    for line in spec.hosts:
        address, *names = line.split() or [""]
        if not names or not _is_address(address):
            raise InvalidArgument(f'invalid host entry "{line}": write an address and a name')


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _check_privileges(privileges: Privileges) -> None:
    if privileges.credential_spec is not None:
        raise Unimplemented("credential specs exist on Windows only")
    if privileges.se_linux_context is not None:
        raise Unimplemented("SELinux contexts are not supported")
