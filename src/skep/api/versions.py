"""Which Engine API versions are answered, and the headers that say so on every answer."""

from __future__ import annotations

import re

from skep import __version__
from skep.kit.errors import InvalidArgument

ApiVersion = tuple[int, int]

OLDEST: ApiVersion = (1, 24)
NEWEST: ApiVersion = (1, 50)

SERVER = f"Docker/{NEWEST[0]}.{NEWEST[1]} skep/{__version__} (linux)"
"""Clients look for `Docker/… (<os>)` to learn the operating system."""

HEADERS = {
    "Api-Version": f"{NEWEST[0]}.{NEWEST[1]}",
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": SERVER,
}

_PREFIX = re.compile(r"/v([0-9.]+)(?=/)")
_NUMBER = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)


def split_version(path: str) -> tuple[str, str]:
    """`/v1.41/info` -> ("1.41", "/info"); without a version the first part is empty."""
    match = _PREFIX.match(path)
    return (match[1], path[match.end() :]) if match else ("", path)


def check_version(text: str) -> ApiVersion:
    """The version a client asked for, the newest when it asked for none.

    Raises InvalidArgument, in docker's words, for one that is not answered here.
    """
    if not text:
        return NEWEST
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"invalid API version {text}: write it as in /v{shown(NEWEST)}/info")
    version = int(match[1]), int(match[2])
    if version < OLDEST:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is "
            f"{shown(OLDEST)}, please upgrade your client to a newer version"
        )
    if version > NEWEST:
        raise InvalidArgument(
            f"client version {text} is too new. Maximum supported API version is {shown(NEWEST)}"
        )
    return version


def shown(version: ApiVersion) -> str:
    return f"{version[0]}.{version[1]}"
