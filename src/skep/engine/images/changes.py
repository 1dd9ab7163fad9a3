"""`docker import --change`: Dockerfile instructions applied to an image's config. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection

import msgspec

from skep.engine.exposed import all_ports
from skep.kit.clock import parse_duration_ns
from skep.kit.errors import InvalidArgument
from skep.kit.numbers import parse_int
from skep.model.image import ImageConfig, ImageHealthcheck

_SHELL = ("/bin/sh", "-c")
_HEALTH_FLAGS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
    "retries": "retries",
}


def apply_changes(config: ImageConfig, changes: Collection[str]) -> ImageConfig:
    """Raises InvalidArgument for an instruction that is unknown or malformed."""
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        apply = _INSTRUCTIONS.get(word.upper())
        if apply is None:
            raise InvalidArgument(f"{word} is not a valid change command")
        if not rest.strip():
            raise InvalidArgument(f"{word.upper()} requires at least one argument")
        config = apply(config, rest.strip())
    return config


def _cmd(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, cmd=_command(text))


def _entrypoint(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, entrypoint=_command(text))


def _env(config: ImageConfig, text: str) -> ImageConfig:
    env = dict(entry.partition("=")[::2] for entry in config.env or ())
    env.update(_pairs(text, "ENV"))
    return msgspec.structs.replace(config, env=tuple(f"{k}={v}" for k, v in env.items()))


def _expose(config: ImageConfig, text: str) -> ImageConfig:
    ports = all_ports([*(config.exposed_ports or ()), *text.split()])
    return msgspec.structs.replace(config, exposed_ports={port: {} for port in ports})


def _label(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, labels=(config.labels or {}) | _pairs(text, "LABEL"))


def _onbuild(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, on_build=(*(config.on_build or ()), text))


def _stopsignal(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, stop_signal=text)


def _user(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, user=text)


def _volume(config: ImageConfig, text: str) -> ImageConfig:
    paths = _json_list(text) or tuple(text.split())
    return msgspec.structs.replace(
        config, volumes=(config.volumes or {}) | {path: {} for path in paths}
    )


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, working_dir=text)


def _healthcheck(config: ImageConfig, text: str) -> ImageConfig:
    numbers: dict[str, int] = {}
    while flag := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        if flag[1] not in _HEALTH_FLAGS:
            raise InvalidArgument(f"unknown flag: --{flag[1]}")
        numbers[_HEALTH_FLAGS[flag[1]]] = _number(flag[1], flag[2])
        text = text[flag.end() :]
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE":
        return msgspec.structs.replace(config, healthcheck=ImageHealthcheck(test=("NONE",)))
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidArgument('Unknown type in HEALTHCHECK: write CMD and a command, or "NONE"')
    words = _json_list(command.strip())
    test = ("CMD", *words) if words else ("CMD-SHELL", command.strip())
    return msgspec.structs.replace(config, healthcheck=ImageHealthcheck(test=test, **numbers))


_INSTRUCTIONS: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(text: str) -> tuple[str, ...]:
    """The exec form (a JSON list) or the shell form (anything else)."""
    return _json_list(text) or (*_SHELL, text)


def _json_list(text: str) -> tuple[str, ...] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    return None


def _pairs(text: str, instruction: str) -> dict[str, str]:
    """`a=1 b="2 3"`, or the old form `a 1`."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{instruction}: {error}") from None
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value:
            raise InvalidArgument(f"{instruction} must have two arguments")
        return {key: value.strip()}
    if not all(word.partition("=")[0] and "=" in word for word in words):
        raise InvalidArgument(f"{instruction}: syntax error: write name=value")
    return dict(word.partition("=")[::2] for word in words)


def _number(flag: str, text: str) -> int:
    try:
        return parse_int(text, 0, 2**31 - 1) if flag == "retries" else parse_duration_ns(text)
    except ValueError as error:
        raise InvalidArgument(f"HEALTHCHECK --{flag}: {error}") from None
