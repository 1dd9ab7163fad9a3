"""What a container runs: the caller's words laid over the image's, as docker lays them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.model.base import docker_name
from skep.model.container import ContainerConfig
from skep.model.image import ImageConfig, ImageHealthcheck
from skep.model.rules.process import check_health
from skep.model.service import HealthConfig

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge(
    wish: ContainerConfig, image: ImageConfig, labels: Mapping[str, str] | None = None
) -> ContainerConfig:
    """The wish with what it leaves open taken from the image; `labels` are laid over all others.

    `cmd` and `entrypoint` come out as lists (or None). An image's command goes with its own
    entrypoint only.
    """
    entrypoint, cmd = words(wish.entrypoint), words(wish.cmd)
    if entrypoint is None:
        entrypoint = list(image.entrypoint) if image.entrypoint else None
        if not cmd:
            cmd = list(image.cmd) if image.cmd else None
    return ContainerConfig(
        hostname=wish.hostname,
        domainname=wish.domainname,
        user=wish.user or image.user,
        attach_stdin=wish.attach_stdin,
        attach_stdout=wish.attach_stdout,
        attach_stderr=wish.attach_stderr,
        exposed_ports={**(image.exposed_ports or {}), **wish.exposed_ports},
        tty=wish.tty,
        open_stdin=wish.open_stdin,
        stdin_once=wish.stdin_once,
        env=merge_env(image.env or (), wish.env),
        cmd=cmd,
        healthcheck=merge_health(wish.healthcheck, image.healthcheck),
        image=wish.image,
        volumes={**(image.volumes or {}), **wish.volumes},
        working_dir=wish.working_dir or image.working_dir,
        entrypoint=entrypoint,
        network_disabled=wish.network_disabled,
        mac_address=wish.mac_address,
        on_build=None,
        labels={**(image.labels or {}), **wish.labels, **(labels or {})},
        stop_signal=wish.stop_signal or image.stop_signal,
        stop_timeout=image.stop_timeout if wish.stop_timeout is None else wish.stop_timeout,
        shell=wish.shell or (list(image.shell) if image.shell else None),
    )


def words(value: list[str] | str | None) -> list[str] | None:
    """Go's StrSlice: text alone is one word."""
    return [value] if isinstance(value, str) else value


def argv(config: ContainerConfig) -> tuple[str, ...]:
    """The program and its arguments. Raises InvalidArgument when there is none.

    An entrypoint of one empty word is docker's way to say "none" (`--entrypoint ""`).
    """
    entrypoint = words(config.entrypoint) or []
    if entrypoint == [""]:
        entrypoint = []
    command = (*entrypoint, *(words(config.cmd) or []))
    if not command:
        raise InvalidArgument("no command specified")
    return command


def merge_env(image: tuple[str, ...] | list[str], wish: list[str]) -> list[str]:
    """The image's variables in their order, replaced by the caller's, then the caller's others.

    A word without "=" removes the variable, as docker's create does.
    """
    merged = {name_of(variable): variable for variable in image}
    for variable in wish:
        merged[name_of(variable)] = variable
    return list(merged.values())


def name_of(variable: str) -> str:
    return variable.partition("=")[0]


def merge_health(wish: HealthConfig | None, image: ImageHealthcheck | None) -> HealthConfig | None:
    """The caller's probe; what it leaves at nothing is the image's."""
    if image is None:
        return wish
    theirs, _ = image_health(image)
    if wish is None:
        return theirs
    said = {
        name: value
        for name in HealthConfig.__struct_fields__
        if (value := getattr(wish, name)) not in (0, [])
    }
    return replace(theirs, **said)


def image_health(image: ImageHealthcheck) -> tuple[HealthConfig, list[str]]:
    """An image's probe, and the names of its values that no caller may give either (a negative
    interval): they count as not given. Docker takes them, and then probes without a pause."""
    sound, senseless = HealthConfig(), []
    for name in HealthConfig.__struct_fields__:
        value = getattr(image, name)
        try:
            one = msgspec.convert({docker_name(name): value}, HealthConfig)
            check_health(one)
        except (msgspec.ValidationError, InvalidArgument):
            senseless.append(docker_name(name))
        else:
            sound = replace(sound, **{name: getattr(one, name)})
    return sound, senseless


def process_env(config: ContainerConfig, hostname: str, home: str) -> tuple[str, ...]:
    """The variables that the process gets: docker's own first, then the merged ones."""
    own = [DEFAULT_PATH, f"HOSTNAME={hostname}", f"HOME={home}"]
    if config.tty:
        own.append("TERM=xterm")
    return tuple(word for word in merge_env(own, config.env) if "=" in word)
