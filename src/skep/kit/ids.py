"""Identifiers: random where they are made, arguments everywhere else."""

from __future__ import annotations

import secrets

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _BASE36 for second in _BASE36]
_OBJECT_ID_LENGTH = 25


def base36(number: int, length: int) -> str:
    """`number` in base 36, left-padded with zeros to `length` characters."""
    pairs = []
    while number:
        number, pair = divmod(number, 36 * 36)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).lstrip("0").rjust(length, "0")


def new_id() -> str:
    """A cluster object's id: 128 random bits as 25 characters of base 36, as Swarm writes them."""
    return base36(secrets.randbits(128), _OBJECT_ID_LENGTH)


def new_container_id() -> str:
    """A container's, image's or local network's id: 256 random bits in hexadecimal."""
    return secrets.token_hex(32)
