"""Objects of a class of ours that do only what a test gives them to do, with mypy looking on.

    containers = stand_in(Containers)

    @instead_of(containers.start)
    async def start(name: str) -> None:
        raise NotFound("none")

What is given must be what the class has, or mypy refuses the test: when a method gets another
signature, its users and their tests are found together. A call of anything else fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


def stand_in(kind: type[T]) -> T:
    """One of that kind, never initialised, whose public methods fail until a test gives others."""
    bare = kind.__new__(kind)
    for name, _ in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            _give(bare, name, partial(_fail, f"{kind.__name__}.{name}"))
    return bare


def instead_of(method: C) -> Callable[[C], C]:
    """Decorates the function, or takes the bound method, that an object has in that one's place."""
    bound: object = method
    assert isinstance(bound, MethodType), f"{method} is no method of an object"

    def give(own: C) -> C:
        _give(bound.__self__, bound.__name__, own)
        return own

    return give


def _give(owner: object, name: str, own: Callable[..., object]) -> None:
    def call(_: object, *args: object, **named: object) -> object:
        return own(*args, **named)

    call.__name__ = name
    setattr(owner, name, MethodType(call, owner))


def _fail(what: str, *args: object, **named: object) -> NoReturn:
    raise AssertionError(f"{what} was called, which the test has not given")
