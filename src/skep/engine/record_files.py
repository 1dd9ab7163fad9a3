"""Reading what is kept of one thing in a file of its own.

What becomes of a thing whose file cannot be read differs: a container is dead, a volume is not
used, until a person looks; a network's file is set aside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from skep.kit.errors import UNDECODABLE
from skep.kit.files import reason_of

T = TypeVar("T")


class Unreadable(Exception):
    """The text says why, for people, without the file's path."""


def read_record(
    path: Path, decoder: msgspec.json.Decoder[T], name_of: Callable[[T], str], name: str
) -> T:
    """The record of the thing of that name. Blocking; raises Unreadable, also when it is the record
    of another."""
    try:
        record = decoder.decode(path.read_bytes())
    except (OSError, *UNDECODABLE) as error:
        raise Unreadable(reason_of(error)) from None
    if name_of(record) != name:
        raise Unreadable(f"it is the record of {name_of(record)}")
    return record
