"""Which logs are kept, and how much of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from skep.kit.errors import Unimplemented
from skep.kit.numbers import INT64_MAX, parse_int, shortened
from skep.model.rules import Broken

_DRIVERS = ("", "json-file", "local", "none")
_DOCKERS_DRIVERS = frozenset(
    {"awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog"}
)
_OPTIONS = frozenset({"max-size", "max-file", "mode"})
_DOCKERS_OPTIONS = frozenset(
    {"compress", "env", "env-regex", "labels", "labels-regex", "max-buffer-size", "tag"}
)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class LogSize(NamedTuple):
    """When a log's file is full, and how many of them are kept."""

    max_size_bytes: int
    max_files: int


def check_log_driver(driver: str, options: Mapping[str, str]) -> None:
    """The kinds of log that we keep ("" is json-file), and their options."""
    if is_plugin(driver):
        raise Broken(
            "log driver", f'error looking up logging plugin {driver}: plugin "{driver}" not found'
        )
    if driver not in _DRIVERS:
        raise Unimplemented(
            f"logging driver {driver!r} is not supported by this engine:"
            " use 'json-file', 'local' or 'none'"
        )
    for option, value in options.items():
        if option in _DOCKERS_OPTIONS or (option == "mode" and value == "non-blocking"):
            raise Unimplemented(f"log opt '{option}={value}' is not supported by this engine")
        if option not in _OPTIONS or (option == "mode" and value != "blocking"):
            raise Broken(
                "log option", f"unknown log opt '{option}' for {driver or 'json-file'} log driver"
            )
    log_size(driver, options)


def is_plugin(driver: str) -> bool:
    """Neither ours nor one of docker's own: a node may have it, as far as its manager knows."""
    return driver not in _DRIVERS and driver not in _DOCKERS_DRIVERS


def log_size(driver: str, options: Mapping[str, str]) -> LogSize | None:
    """`max-size` and `max-file`, None = no end, whatever `max-file` says; docker's "local" driver
    has its own defaults."""
    local = driver == "local"
    size = options.get("max-size", "20m" if local else "")
    files = options.get("max-file", "5" if local else "1")
    try:
        max_files = parse_int(files, 1)
    except ValueError:
        raise _invalid("max-file", files) from None
    if not size or size == "-1":
        return None
    return LogSize(parse_size(size), max_files)


def parse_size(text: str) -> int:
    """`10m`, `512k`, `1g`, `4096` in bytes."""
    lower = text.lower().removesuffix("b") if text[-1:].lower() == "b" else text.lower()
    number = lower.rstrip("kmgt")
    unit = lower[len(number) :]
    try:
        return parse_int(number, 1, INT64_MAX // _UNITS[unit]) * _UNITS[unit]
    except (KeyError, ValueError):
        raise _invalid("max-size", text) from None


def _invalid(option: str, value: str) -> Broken:
    return Broken("log option", f"invalid value for '{option}': {shortened(value)}")
