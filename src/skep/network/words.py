"""Text of others as words of nft's language: each of these is exactly one, or it is refused.

Nothing that a user, a disk or another node wrote reaches nft (or iptables) in any other way.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress

from skep.kit.errors import InvalidArgument

_LINK = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}", re.ASCII)
"""The kernel takes more. Not so nft (a `"` ends a word, a `*` stands for any ending) and iptables
(where a `+` does, and a first `-` begins an option)."""


def link_name(name: str) -> str:
    """A link's name, as it came. Raises InvalidArgument for what is none or cannot be written."""
    if not _LINK.fullmatch(name):
        raise InvalidArgument(
            f'invalid interface name "{name}": 1 to 15 characters of [a-zA-Z0-9_.-], the first of '
            "them of [a-zA-Z0-9_]"
        )
    return name


def link(name: str) -> str:
    """The same in quotes."""
    return f'"{link_name(name)}"'


@functools.lru_cache(1024)
def address(text: str) -> str:
    """An IP address in its usual notation. Raises InvalidArgument for anything else."""
    return _spelled(ipaddress.ip_address, text, "IP address")


@functools.lru_cache(1024)
def subnet(text: str) -> str:
    """A subnet, `172.17.0.0/16`. Raises InvalidArgument for anything else."""
    return _spelled(ipaddress.ip_network, text, "subnet")


def _spelled(read: Callable[[str], object], text: str, what: str) -> str:
    if "%" not in text:  # what follows it is any text at all
        with suppress(ValueError):
            return str(read(text))
    raise InvalidArgument(f"invalid {what}: {text}")
