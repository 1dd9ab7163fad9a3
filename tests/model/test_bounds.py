"""Every number and time of a noun has bounds that Go's clients and the store can hold."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from msgspec import inspect

import skep.model
from skep.model.bounds import MOST
from skep.protocol import joining, messages

_FOREIGN = {"skep.model.image"}
"""Images' documents are others' and are read by rules of their own."""


def structs() -> list[type[msgspec.Struct]]:
    names = (f"skep.model.{module.name}" for module in pkgutil.iter_modules(skep.model.__path__))
    modules = [importlib.import_module(name) for name in names if name not in _FOREIGN]
    found = {
        thing
        for module in (*modules, messages, joining)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, msgspec.Struct)
    }
    own = {kind for kind in found if kind.__module__ not in _FOREIGN | {"msgspec"}}
    return sorted(own, key=lambda kind: (kind.__module__, kind.__name__))


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The type and what it is made of, but for other structs."""
    yield kind
    match kind:
        case inspect.UnionType():
            inner = kind.types
        case inspect.ListType() | inspect.VarTupleType():
            inner = (kind.item_type,)
        case inspect.DictType():
            inner = (kind.key_type, kind.value_type)
        case inspect.Metadata():
            inner = (kind.type,)
        case _:
            inner = ()
    for part in inner:
        yield from parts(part)


def within(kind: type[msgspec.Struct], seen: set[type[msgspec.Struct]]) -> None:
    """The structs that messages of this kind consist of."""
    if kind not in seen:
        seen.add(kind)
        for _, part in fields(kind):
            if isinstance(part, inspect.StructType):
                within(part.cls, seen)


def said_by_agents() -> list[type[msgspec.Struct]]:
    seen: set[type[msgspec.Struct]] = set()
    for kind in get_args(messages.FromAgent):
        within(kind, seen)
    return sorted(seen, key=lambda kind: kind.__name__)


def fields(kind: type[msgspec.Struct]) -> Iterator[tuple[str, inspect.Type]]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        for part in parts(field.type):
            yield f"{kind.__name__}.{field.name}", part


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_every_number_is_an_int64_and_every_time_has_a_zone(kind: type[msgspec.Struct]) -> None:
    for name, part in fields(kind):
        if isinstance(part, inspect.IntType):
            assert part.ge is not None and part.ge >= -MOST - 1, name
            assert part.le is not None and part.le <= MOST, name
        if isinstance(part, inspect.DateTimeType):
            assert part.tz is True, name


_SIZED = (inspect.StrType, inspect.BytesType, inspect.ListType, inspect.DictType)


@pytest.mark.parametrize("kind", said_by_agents(), ids=lambda kind: kind.__name__)
def test_whatever_an_agent_says_has_an_end(kind: type[msgspec.Struct]) -> None:
    for name, part in fields(kind):
        if isinstance(part, _SIZED):
            assert part.max_length is not None, name
