"""One mount of a container or of a service (`--mount`)."""

from __future__ import annotations

import posixpath

from skep.kit.errors import Unimplemented
from skep.model.rules import Broken
from skep.model.rules.names import check_volume_name
from skep.model.service import Mount

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_CONSISTENCIES = frozenset({"", "default", "consistent", "cached", "delegated"})
_OPTIONS_OF = {
    "bind": "bind_options",
    "volume": "volume_options",
    "tmpfs": "tmpfs_options",
    "image": "image_options",
    "cluster": "cluster_options",
}


def check_mount(mount: Mount) -> None:
    """Source: moby volume/mounts/linux_parser.go, validateMountConfigImpl."""
    if mount.type not in {"bind", "volume", "tmpfs"}:
        raise Unimplemented(
            f'mounts of type "{mount.type}" are not supported by this engine:'
            " use bind, volume or tmpfs"
        )
    if mount.consistency not in _CONSISTENCIES:
        raise Broken("mount", f"invalid mount consistency: {mount.consistency}")
    _check_options(mount)
    _check_target(mount)
    match mount.type:
        case "bind":
            _check_bind(mount)
        case "volume":
            _check_volume(mount)
        case _ if mount.source:
            raise _broken("tmpfs source", mount, "field Source must not be specified")


def cleaned(path: str) -> str:
    """`/a/b` for `//a/./b/`: the path by which two mounts are known to be in one place."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _check_options(mount: Mount) -> None:
    for kind, field in _OPTIONS_OF.items():
        if kind != mount.type and getattr(mount, field) is not None:
            name = "".join(part.capitalize() for part in field.split("_"))
            raise _broken("mount", mount, f"field {name} must not be specified")


def _check_target(mount: Mount) -> None:
    if not mount.target:
        raise _broken("no target", mount, "field Target must not be empty")
    if not mount.target.startswith("/"):
        raise _broken("relative target", mount, _relative(mount.target))
    if cleaned(mount.target) == "/":
        raise _broken("mount", mount, "invalid specification: destination can't be '/'")


def _check_bind(mount: Mount) -> None:
    if not mount.source:
        raise _broken("no source", mount, "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise _broken("relative source", mount, _relative(mount.source))
    options = mount.bind_options
    if options is None:
        return
    if options.propagation and options.propagation not in PROPAGATIONS:
        raise _broken("mount", mount, f"invalid propagation mode: {options.propagation}")
    if options.read_only_force_recursive or options.read_only_non_recursive:
        raise Unimplemented(
            "BindOptions.ReadOnlyForceRecursive and ReadOnlyNonRecursive are not supported"
            " by this engine: a read-only bind is read-only at its top mount"
        )


def _check_volume(mount: Mount) -> None:
    if mount.source:
        check_volume_name(mount.source)
    if mount.volume_options is not None and mount.volume_options.subpath:
        raise Unimplemented(
            "VolumeOptions.Subpath is not supported by this engine: mount the whole volume"
        )


def _relative(path: str) -> str:
    return f"invalid mount path: '{path}' mount path must be absolute"


def _broken(rule: str, mount: Mount, reason: str) -> Broken:
    sentence = f'invalid mount config for type "{mount.type}": {reason}'
    return Broken(rule, sentence, source=mount.source, target=mount.target)
