"""`--mount type=…,source=…,target=…`, `--volume` and `--tmpfs`."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import normpath
from pathlib import Path
from typing import Any

from skep.cli.values.pairs import csv_pairs
from skep.cli.values.size import parse_bytes

_TYPES = ("bind", "volume", "tmpfs", "npipe", "cluster", "image")
_SWITCHES = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
_RECURSIVE = ("enabled", "disabled", "writable", "readonly")
_OWNER = {"bind": "bind", "volume": "volume", "tmpfs": "tmpfs", "image": "image"}


def parse_mount(text: str) -> dict[str, Any]:
    """A --mount as the API's Mount."""
    mount: dict[str, Any] = {"Type": "volume"}
    used: set[str] = set()
    for key, value in csv_pairs(text, _SWITCHES):
        _set(mount, key, value)
        used.add(key.partition("-")[0])
    if not mount.get("Target"):
        raise ValueError("target is required")
    _check(mount, used)
    return mount


def _set(mount: dict[str, Any], key: str, value: str) -> None:
    match key:
        case "type":
            mount["Type"] = value.lower()
        case "source" | "src":
            mount["Source"] = _absolute(value)
        case "target" | "dst" | "destination":
            mount["Target"] = value
        case "readonly" | "ro":
            mount["ReadOnly"] = _truth(key, value)
        case "consistency":
            mount["Consistency"] = value.lower()
        case _ if "-" in key:
            _set_option(mount, key, value)
        case _:
            raise ValueError(f"unexpected key '{key}' in '{key}={value}'")


def _set_option(mount: dict[str, Any], key: str, value: str) -> None:
    volume = mount.setdefault("VolumeOptions", {}) if key.startswith("volume-") else {}
    match key:
        case "bind-propagation":
            mount.setdefault("BindOptions", {})["Propagation"] = value.lower()
        case "bind-nonrecursive":
            mount.setdefault("BindOptions", {})["NonRecursive"] = _truth(key, value)
        case "bind-recursive":
            mount.setdefault("BindOptions", {}).update(_recursive(value))
        case "volume-nocopy":
            volume["NoCopy"] = _truth(key, value)
        case "volume-subpath":
            volume["Subpath"] = value
        case "volume-label":
            _add(volume.setdefault("Labels", {}), value)
        case "volume-driver":
            volume.setdefault("DriverConfig", {})["Name"] = value
        case "volume-opt":
            _add(volume.setdefault("DriverConfig", {}).setdefault("Options", {}), value)
        case "image-subpath":
            mount.setdefault("ImageOptions", {})["Subpath"] = value
        case "tmpfs-size":
            mount.setdefault("TmpfsOptions", {})["SizeBytes"] = parse_bytes(value)
        case "tmpfs-mode":
            mount.setdefault("TmpfsOptions", {})["Mode"] = _octal(value)
        case _:
            raise ValueError(f"unexpected key '{key}' in '{key}={value}'")


def _check(mount: dict[str, Any], used: set[str]) -> None:
    kind = mount["Type"]
    if kind not in _TYPES:
        raise ValueError(f"invalid mount type '{kind}': use one of {', '.join(_TYPES)}")
    for prefix, owner in _OWNER.items():
        if prefix in used and kind != owner and not (prefix == "volume" and kind == "cluster"):
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    if kind == "tmpfs" and mount.get("Source"):
        raise ValueError("a tmpfs mount has no source: leave source= out")
    if kind in {"bind", "npipe", "image"} and not mount.get("Source"):
        raise ValueError(f"a {kind} mount needs source=")
    if (mount.get("BindOptions") or {}).get("ReadOnlyForceRecursive") and not mount.get("ReadOnly"):
        raise ValueError("option 'bind-recursive=readonly' requires 'readonly' to be specified")


def _recursive(value: str) -> dict[str, bool]:
    match value:
        case "enabled":
            return {}
        case "disabled":
            return {"NonRecursive": True}
        case "writable":
            return {"ReadOnlyNonRecursive": True}
        case "readonly":
            return {"ReadOnlyForceRecursive": True}
    raise ValueError(
        f"invalid value for bind-recursive: {value} (must be one of {', '.join(_RECURSIVE)})"
    )


def _truth(key: str, value: str) -> bool:
    from skep.cli.flags.kinds import read_bool

    try:
        return read_bool(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def _octal(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {value}: write it as in 1777") from None


def _add(options: dict[str, str], text: str) -> None:
    key, _, value = text.partition("=")
    options[key] = value


def _absolute(source: str) -> str:
    """A path that begins with a dot is relative to where the command runs."""
    return normpath(Path.cwd() / source) if source.startswith(".") else source


def split_volumes(texts: Iterable[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """-v flags as Binds (`source:target[:mode]`) and Volumes (a target alone)."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for text in texts:
        source, colon, rest = text.partition(":")
        if not text or (colon and (not source or not rest.partition(":")[0])):
            raise ValueError(f"invalid spec: {text}: empty section between colons")
        if text.count(":") > 2:
            raise ValueError(f"invalid volume specification: '{text}': too many colons")
        if not colon:
            anonymous[text] = {}
            continue
        binds.append(f"{_absolute(source)}:{rest}")
    return binds, anonymous


def tmpfs_map(texts: Iterable[str]) -> dict[str, str]:
    """--tmpfs `path[:options]` as HostConfig.Tmpfs."""
    return {path: options for path, _, options in (text.partition(":") for text in texts)}
