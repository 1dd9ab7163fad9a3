"""Messages that are almost right, made from their description: for what must outlive any of them.

frames = Frames(FromAgent, random.Random(7), words=["a task's id"])
frames.next()       msgpack of one message, with edge values, bits flipped, its end cut off
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

from skep.testing.nonsense import Nonsense, Words

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
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
]
_ODD_MOMENTS = [
    *(datetime(2026, 1, 1), datetime.max),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "now"),
]
_ODD: list[Any] = [None, 0, "", [], {}, b"", True, 1.5, [[[]]], -1]


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
        self._nonsense = Nonsense(chance, _words(words, honest))

    def next(self) -> bytes:
        frame = msgspec.msgpack.encode(self._nonsense.value(self._chance.choice(self._kinds)))
        return self._damaged(frame) if self._chance.random() < 0.2 else frame

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


def _words(known: Sequence[str], honest: float) -> Words:
    """What msgpack can write, `known` words more often than the others."""
    return Words(
        integers=_NUMBERS,
        reals=_REALS,
        texts=[*_TEXTS, *(word for word in known for _ in range(5))],
        raw=_BYTES,
        moments=[*_MOMENTS * 20, *_ODD_MOMENTS],
        odd=_ODD,
        longest=1_500,
        strange=1 - honest**0.2,
        bounded=honest,
    )
