"""Container names: docker's grammar."""

from __future__ import annotations

import re

from skep.kit.errors import InvalidArgument

_GRAMMAR = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def check_name(name: str) -> str:
    """A caller's name without its leading slash. Raises InvalidArgument in docker's words."""
    if not _GRAMMAR.fullmatch(name):
        raise InvalidArgument(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name.removeprefix("/")
