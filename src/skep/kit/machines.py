"""The kernel's names for machines (uname) in Go's and the images' words."""

from __future__ import annotations

_GO_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv5l": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i686": "386",
}


def go_architecture(machine: str) -> str:
    """`amd64` for `x86_64`; what is not listed is called the same by both."""
    return _GO_NAMES.get(machine, machine)
