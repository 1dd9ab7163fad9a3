"""Every key that the Engine API has for a body is known: done, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from skep.api.routes.networks import Connect, Disconnect
from skep.model.cluster import ClusterSpec
from skep.model.container import ContainerCreate, ContainerUpdate, ExecCreate, ExecStart
from skep.model.image import AuthConfig
from skep.model.network import NetworkCreate
from skep.model.node import NodeSpec
from skep.model.service import ServiceSpec
from skep.model.system import SwarmInit, SwarmJoin
from skep.model.volume import VolumeCreate

BODIES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ClusterSpec, Connect, ContainerCreate, ContainerUpdate, Disconnect, ExecCreate, ExecStart,
        NetworkCreate, NodeSpec, AuthConfig, ServiceSpec, SwarmInit, SwarmJoin, VolumeCreate,
    )
}  # fmt: skip
MEANINGLESS = {"email"}
"""Registries ask for it no more."""


def _facts() -> Iterator[tuple[str, str]]:
    body = ""
    for line in Path(__file__).with_name("engine_api_keys.txt").read_text().splitlines():
        if line.startswith("["):
            body = line.strip("[]")
        elif not line.startswith("#"):
            yield body, line


def _parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """What a value of the type can be, items of its lists included."""
    if isinstance(kind, inspect.UnionType):
        for part in kind.types:
            yield from _parts(part)
    elif isinstance(kind, inspect.Metadata):
        yield from _parts(kind.type)
    elif isinstance(kind, inspect.ListType):
        yield from _parts(kind.item_type)
    else:
        yield kind


def _knows(kind: inspect.Type, path: list[str]) -> bool:
    if not path:
        return True
    key, *rest = path
    for part in _parts(kind):
        if isinstance(part, inspect.StructType):
            if key.lower() in {name.lower() for name in getattr(part.cls, "unsupported", {})}:
                return True
            for field in part.fields:
                if field.encode_name.lower() == key.lower():
                    return _knows(field.type, rest)
        elif isinstance(part, inspect.DictType):
            return _knows(part.value_type, rest)
        elif isinstance(part, inspect.AnyType | inspect.RawType):
            return True
    return False


@pytest.mark.parametrize("body", BODIES)
def test_every_key_of_the_api_is_known(body: str) -> None:
    kind: Any = inspect.type_info(BODIES[body])
    keys = [key for of, key in _facts() if of == body and key not in MEANINGLESS]
    assert keys
    assert [key for key in keys if not _knows(kind, key.split("."))] == []


def test_a_key_that_is_not_the_api_s_is_not_known() -> None:
    kind = inspect.type_info(ContainerCreate)
    assert not _knows(kind, ["HostConfig", "Mounts", "BindOptions", "Odd"])
