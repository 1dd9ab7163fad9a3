"""What things may be called."""

from __future__ import annotations

import re

from skep.model.rules import Broken

_DNS_LABEL = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*")
_LONGEST_DNS_LABEL = 63
_PATH_WORD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LONGEST_VOLUME = 255


def check_service_name(name: str) -> None:
    """It resolves in the service's networks (source: swarmkit, validateAnnotations)."""
    if len(name) > _LONGEST_DNS_LABEL:
        raise Broken(
            "service name", f"name must be {_LONGEST_DNS_LABEL} characters or fewer: {name}"
        )
    if not _DNS_LABEL.fullmatch(name):
        raise Broken(
            "service name",
            f'name "{name}" must be valid as a DNS name component: letters, digits, - and _, '
            "with a letter or digit first and last",
        )


def check_network_name(name: str) -> None:
    """Any text, as in docker (source: moby libnetwork, NewNetwork), that a path can name."""
    if not name.strip():
        raise Broken("network name", "invalid network name: it is empty")
    if "/" in name:
        raise Broken("network name", f'invalid network name "{name}": it must not have a slash')


def check_container_name(name: str) -> str:
    """The name without its leading slash."""
    bare = name.removeprefix("/")
    if not _PATH_WORD.fullmatch(bare):
        raise Broken(
            "container name",
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        )
    return bare


def check_volume_name(name: str) -> None:
    if len(name) > _LONGEST_VOLUME:
        raise Broken("volume name", f"the volume's name has more than {_LONGEST_VOLUME} letters")
    if not is_volume_name(name):
        raise Broken(
            "volume name",
            f'"{name}" includes invalid characters for a local volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed.'
            " If you intended to pass a host directory, use absolute path",
        )


def is_volume_name(name: str) -> bool:
    return len(name) <= _LONGEST_VOLUME and _PATH_WORD.fullmatch(name) is not None
