"""The container part of a spec: what each task's engine will be asked for."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from skep.kit.addresses import is_address
from skep.kit.errors import UNDECODABLE, InvalidArgument, Unimplemented
from skep.model.reference import parse_reference
from skep.model.rules import Broken
from skep.model.rules.mounts import check_mount, cleaned
from skep.model.rules.process import (
    capability,
    check_health,
    check_host_entry,
    check_variable,
    check_working_dir,
)
from skep.model.rules.signals import parse_signal
from skep.model.rules.volumes import check_volume_options
from skep.model.service import ContainerSpec, Driver, Mount, Privileges, SeccompOpts, VolumeOptions
from skep.model.template import SOME_TASK, expanded

_SECCOMP_MODES = ("", "default", "unconfined", "custom")
_APPARMOR_MODES = ("", "default", "disabled")


def check_container(spec: ContainerSpec) -> None:
    _check_image(spec.image)
    some = _as_some_task_has_it(spec)
    for entry in some.env:
        check_variable(entry)
    _check_mounts(some.mounts)
    if spec.healthcheck is not None:
        check_health(spec.healthcheck)
    _check_process(spec)
    _check_names(spec)
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


def _as_some_task_has_it(spec: ContainerSpec) -> ContainerSpec:
    """What no task could expand is refused at once, by a dry run, as Swarm does."""
    some = expanded(spec, SOME_TASK)
    return replace(some, mounts=list(map(_with_some_paths, spec.mounts, some.mounts)))


def _with_some_paths(written: Mount, some: Mount) -> Mount:
    """A path that begins with a template may be an absolute one."""
    source = some.source
    if written.type == "bind" and written.source.startswith("{{"):
        source = f"/{source or 'source'}"
    target = some.target
    if written.target.startswith("{{"):
        target = f"/{target or 'target'}"
    return replace(some, source=source, target=target)


def _check_mounts(mounts: list[Mount]) -> None:
    targets: set[str] = set()
    for mount in mounts:
        check_mount(mount)
        options = mount.volume_options or VolumeOptions()
        driver = options.driver_config or Driver()
        if driver.name in ("", "local"):
            check_volume_options(mount.source, driver.options)
        target = cleaned(mount.target)
        if target in targets:
            raise InvalidArgument(f"ContainerSpec: duplicate mount point: {mount.target}")
        targets.add(target)


def _check_process(spec: ContainerSpec) -> None:
    check_working_dir(spec.dir)
    if spec.stop_signal:
        parse_signal(spec.stop_signal)
    for name in (*spec.capability_add, *spec.capability_drop):
        capability(name)
    if spec.isolation not in ("", "default"):
        raise InvalidArgument(f"isolation {spec.isolation} exists on Windows only: use default")


def _check_names(spec: ContainerSpec) -> None:
    for server in spec.dns_config.nameservers if spec.dns_config is not None else ():
        if not is_address(server):
            raise InvalidArgument(f"invalid DNS server: {server} is not an IP address")
    for line in spec.hosts:
        address, *names = line.split() or [""]
        try:
            for name in names or [""]:
                check_host_entry(name, address)
        except Broken:
            raise InvalidArgument(
                f'invalid host entry "{line}": write an address and a name'
            ) from None


def _check_privileges(privileges: Privileges) -> None:
    if privileges.credential_spec is not None:
        raise Unimplemented("credential specs exist on Windows only")
    if privileges.se_linux_context is not None:
        raise Unimplemented("SELinux contexts are not supported")
    if privileges.seccomp is not None:
        _check_seccomp(privileges.seccomp)
    apparmor = privileges.app_armor
    if apparmor is not None and apparmor.mode not in _APPARMOR_MODES:
        raise InvalidArgument(f"invalid AppArmor mode: {apparmor.mode}")


def _check_seccomp(seccomp: SeccompOpts) -> None:
    if seccomp.mode not in _SECCOMP_MODES:
        raise InvalidArgument(f"invalid seccomp mode: {seccomp.mode}")
    if (seccomp.mode == "custom") is not bool(seccomp.profile):
        raise InvalidArgument("a seccomp profile is given with the mode custom, and only then")
    try:
        msgspec.json.decode(seccomp.profile or b"{}", type=dict[str, msgspec.Raw])
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid seccomp profile: {error}") from None
