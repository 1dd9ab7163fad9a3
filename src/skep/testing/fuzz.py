"""Messages that are almost right, made from their description: for what must outlive any of them.

frames = Frames(FromAgent, random.Random(7), words=["a task's id"])
frames.next()       msgpack of one message, with edge values, bits flipped, its end cut off
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

_NUMBERS = [
    *(0, 1, -1, 2, 7, 80, 65_535, 65_536, 2**31 - 1, 2**31, -(2**31) - 1),
    *(2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)),
]
_REALS = [0.0, -0.0, 0.9, 1.0, 3600.0, 3600.1, 1e308, -1.0, 5e-324, math.nan, math.inf, -math.inf]
_TEXTS = [
    "", "a", "web", "n1", "x" * 300, "x" * 9_000, "\x1b[2J", "a\nb\r\n", "\x00", "\u202e", "é" * 99,
    "../../etc/passwd", "10.0.0.1", "10.0.0.1/24", "%s%n", "{{.Node.ID}}", "sha256:" + "a" * 64,
]  # fmt: skip
_BYTES = [b"", b"\x00", b"\xff" * 70, b"line", b"x" * 70_000]
_MOMENTS = [
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime.max,
]
_WRITTEN_MOMENTS = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "now"]
_DEEPEST = 8


class Frames:
    """Endless frames of the messages in a union. `words` are texts that mean something to whoever
    reads them; `honest` is the share of values that are what the type asks for."""

    def __init__(
        self, union: Any, chance: random.Random, words: Sequence[str] = (), honest: float = 0.97
    ) -> None:
        kinds = inspect.type_info(union)
        assert isinstance(kinds, inspect.UnionType)
        self._kinds = kinds.types
        self._chance = chance
        self._texts = [*_TEXTS, *(word for word in words for _ in range(5))]
        self._honest = honest
        self._made: Mapping[type, Callable[[Any, int], Any]] = {
            inspect.StructType: self._struct,
            inspect.DictType: self._table,
            inspect.ListType: self._list,
            inspect.VarTupleType: self._list,
            inspect.UnionType: lambda kind, deep: self._value(chance.choice(kind.types), deep),
            inspect.Metadata: lambda kind, deep: self._value(kind.type, deep),
            inspect.LiteralType: lambda kind, _: chance.choice(kind.values),
            inspect.EnumType: lambda kind, _: chance.choice(list(kind.cls)).value,
            inspect.IntType: self._number,
            inspect.FloatType: lambda *_: chance.choice(_REALS),
            inspect.StrType: lambda *_: chance.choice(self._texts),
            inspect.BytesType: lambda *_: chance.choice(_BYTES),
            inspect.BoolType: lambda *_: chance.random() < 0.5,
            inspect.DateTimeType: self._moment,
            inspect.NoneType: lambda *_: None,
        }

    def next(self) -> bytes:
        frame = msgspec.msgpack.encode(self._value(self._chance.choice(self._kinds), 0))
        return self._damaged(frame) if self._chance.random() < 0.2 else frame

    def _value(self, kind: inspect.Type, deep: int) -> Any:
        chance = self._chance
        if chance.random() > self._honest**0.2:
            return chance.choice([None, 0, "", [], {}, b"", True, 1.5, [[[]]], -1])
        make = self._made.get(type(kind))
        return make(kind, deep + 1) if make is not None else None

    def _struct(self, kind: inspect.StructType, deep: int) -> Any:
        chance = self._chance
        values = [
            (field.encode_name, self._value(field.type, deep))
            for field in kind.fields
            if field.required or (deep < _DEEPEST and chance.random() < 0.6)
        ]
        if kind.array_like:
            return [value for _, value in values]
        tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
        return tag | dict(values)

    def _table(self, kind: inspect.DictType, deep: int) -> Any:
        number = self._how_many(deep)
        return {
            str(self._value(kind.key_type, deep)): self._value(kind.value_type, deep)
            for _ in range(number)
        }

    def _list(self, kind: inspect.ListType, deep: int) -> Any:
        if self._chance.random() < 0.02:
            return [self._value(kind.item_type, deep)] * 1_500
        return [self._value(kind.item_type, deep) for _ in range(self._how_many(deep))]

    def _how_many(self, deep: int) -> int:
        return 0 if deep > _DEEPEST else self._chance.choice([0, 1, 1, 2, 4])

    def _number(self, kind: inspect.IntType, _: int) -> int:
        edges = [edge for edge in (kind.ge, kind.le) if edge is not None]
        near = [edge + step for edge in edges for step in (-1, 0, 1)]
        number = self._chance.choice([*_NUMBERS, *near])
        if self._chance.random() < self._honest and edges:
            number = min(max(number, kind.ge or 0), kind.le if kind.le is not None else number)
        return int(min(max(number, -(2**63)), 2**64 - 1))

    def _moment(self, kind: inspect.DateTimeType, _: int) -> datetime | str:
        if self._chance.random() < 0.1:
            return self._chance.choice(_WRITTEN_MOMENTS)
        honest = [moment for moment in _MOMENTS if moment.tzinfo is not None]
        return self._chance.choice(honest if self._chance.random() < self._honest else _MOMENTS)

    def _damaged(self, frame: bytes) -> bytes:
        chance = self._chance
        body = bytearray(frame)
        for _ in range(chance.choice([0, 1, 1, 2, 8])):
            if body:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del body[chance.randrange(len(body) + 1) :]
        if chance.random() < 0.1:
            body += chance.randbytes(9)
        return bytes(body)
