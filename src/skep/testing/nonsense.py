"""Seeded values of a type: at its edges mostly, beyond them now and then.

    made = Nonsense(random.Random(7), WORDS)
    made.value(inspect.type_info(Task))     in builtin types, for an encoder to write down

`bodies.py` makes JSON of them, `frames.py` the messages of a line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

_DEEPEST = 6


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What values are chosen from, as far as the encoder of them can write it.

    odd       stands where anything may stand, whatever is asked for there.
    longest   how many items a list has that has many.
    strange   the share of values that are odd.
    bounded   the share of numbers that keep the bounds of their type.
    """

    integers: Sequence[int]
    reals: Sequence[float]
    texts: Sequence[str]
    raw: Sequence[bytes | str]
    moments: Sequence[Any]
    odd: Sequence[Any]
    longest: int
    strange: float
    bounded: float = 0.0


class Nonsense:
    """Endless values; the same dice give the same."""

    def __init__(self, dice: random.Random, words: Words) -> None:
        self._dice = dice
        self._words = words
        self._made: Mapping[type, Callable[[Any, int], Any]] = {
            inspect.StructType: self._struct,
            inspect.DictType: self._table,
            inspect.ListType: self._list,
            inspect.VarTupleType: self._list,
            inspect.UnionType: lambda kind, depth: self.value(dice.choice(kind.types), depth),
            inspect.Metadata: lambda kind, depth: self.value(kind.type, depth),
            inspect.LiteralType: self._literal,
            inspect.EnumType: lambda kind, _: dice.choice(list(kind.cls)).value,
            inspect.IntType: self._integer,
            inspect.FloatType: lambda *_: dice.choice(words.reals),
            inspect.StrType: lambda *_: self.text(),
            inspect.BytesType: lambda *_: dice.choice(words.raw),
            inspect.BoolType: lambda *_: dice.random() < 0.5,
            inspect.DateTimeType: lambda *_: dice.choice(words.moments),
            inspect.NoneType: lambda *_: None,
        }

    def text(self) -> str:
        if self._dice.random() < 0.9:
            return self._dice.choice(self._words.texts)
        return "".join(self._dice.choices("ab01-_./:=, \n\x1b*?%{}", k=self._dice.randrange(12)))

    def value(self, kind: inspect.Type, depth: int = 0) -> Any:
        make = self._made.get(type(kind))
        if make is None or self._dice.random() < self._words.strange:
            return self._dice.choice(self._words.odd)
        return make(kind, depth)

    def _struct(self, kind: inspect.StructType, depth: int) -> Any:
        """All fields that it must have, and a few that it may have."""
        optional = [field for field in kind.fields if not field.required]
        few = 0 if depth > _DEEPEST else min(len(optional), self._dice.randrange(4))
        chosen = {field.name for field in self._dice.sample(optional, few)}
        values = {
            field.encode_name: self.value(field.type, depth + 1)
            for field in kind.fields
            if field.required or field.name in chosen
        }
        if kind.array_like:
            return list(values.values())
        return {kind.tag_field: kind.tag, **values} if kind.tag_field else values

    def _table(self, kind: inspect.DictType, depth: int) -> Any:
        return {
            str(self.value(kind.key_type, depth + 1)): self.value(kind.value_type, depth + 1)
            for _ in range(self._how_many(depth))
        }

    def _list(self, kind: inspect.ListType | inspect.VarTupleType, depth: int) -> Any:
        if self._dice.random() < 0.02:
            return [self.value(kind.item_type, depth + 1)] * self._words.longest
        return [self.value(kind.item_type, depth + 1) for _ in range(self._how_many(depth))]

    def _how_many(self, depth: int) -> int:
        return 0 if depth > _DEEPEST else self._dice.choice((0, 1, 1, 2, 4))

    def _literal(self, kind: inspect.LiteralType, _: int) -> Any:
        if self._dice.random() < self._words.strange:
            return self.text()
        return self._dice.choice(kind.values)

    def _integer(self, kind: inspect.IntType, _: int) -> int:
        edges = [edge for edge in (kind.ge, kind.le) if edge is not None]
        near = [int(edge) + step for edge in edges for step in (-1, 0, 1)]
        writable = [number for number in near if -(2**63) <= number < 2**64]
        number = self._dice.choice((*self._words.integers, *writable))
        if self._dice.random() < self._words.bounded:
            number = max(number, number if kind.ge is None else int(kind.ge))
            number = min(number, number if kind.le is None else int(kind.le))
        return number
