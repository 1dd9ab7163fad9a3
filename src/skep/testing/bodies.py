"""Seeded nonsense for doors that read JSON: bodies with values at the edges of their types.

Bodies begin sound, as a client would write them, and then one to three of their fields are given
values that nobody meant: so they come further than wholly random ones, which the first check stops.
"""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

from msgspec import inspect

from skep.model.fitting import bare
from skep.testing.nonsense import Nonsense, Words

_INTEGERS = (
    -1, 0, 1, 2, 59, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1,
    2**64, -(2**31), -(2**63), -(2**63) - 1, 10**12, 10**30, -(10**30),
)  # fmt: skip
_TEXTS = (
    "", " ", "a", "A-1", "0", "-1", "1", "80", "80/tcp", "9" * 20, "9" * 5000, "1e400", "10m",
    "2026-11-22T10:00:00Z", "2026-11-22T10:00:00", "9999-12-31T23:59:59Z", "true", "null", "none",
    "default", "host", "bridge", "..", "../..", "/", "//", "/x/../..", "a/b", "a:b", "a=b", "=",
    ":", "*", "(a+)+$", "[", "\\", '"', "'", "`", "$(x)", ";", "a\nb", "a\tb", "\x1b[31m", "\x7f",
    "\0", "a\0b", "\u202e", "ä", "日本", "\U0001f41d", "\ud800", "%s", "%00", "{{.Node.ID}}", "{{",
    "{{x}}", "web:1", "sha256:" + "0" * 64, "127.0.0.1", "::1", "10.0.0.0/8", "0.0.0.0/0", "::/0",
    "fe80::1", "x" * 64, "x" * 256, "x" * 300, "x" * 5000, "x" * 70_000, "1.5", "0x10", "٣", "a,b",
    "container:", "container:steady", "sctp", "SIGKILL", "RTMIN+99", "10.0.0.1:99999", "[::1]",
    "nan", "-inf",
)  # fmt: skip
_ODD: tuple[Any, ...] = (None, True, False, 0, -1, 2**64, 0.5, "", "a", [], {}, [[]], {"": {}})
NOT_JSON = (
    b"", b"{", b"[", b"null", b"0", b'"', b"\xff\xfe", b'{"a":}', b"[" * 100_000, b"{}{}", b"\0",
    b'{"":' * 20_000, b'{"Image":"\xff"}', b"9" * 5000, b'{"A":1,"a":2}', b"NaN", b'"\\ud800"',
)  # fmt: skip


_WORDS = Words(
    integers=_INTEGERS,
    reals=(*_INTEGERS, 0.5, -0.0, 1e308),
    texts=_TEXTS,
    raw=_TEXTS,
    moments=_TEXTS,
    odd=_ODD,
    longest=50,
    strange=0.08,
)


_described = cache(inspect.type_info)


class Bodies:
    """One source of nonsense; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._nonsense = Nonsense(self.dice, _WORDS)

    def text(self) -> str:
        return self._nonsense.text()

    def value(self, kind: inspect.Type) -> Any:
        return self._nonsense.value(kind)

    def spoiled(self, sound: dict[str, Any], kind: type) -> dict[str, Any]:
        """A copy of a sound body with one to three fields at an edge."""
        body = json.loads(json.dumps(sound))
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            self._spoil(body, _described(kind))
        return dict(body)

    def _spoil(self, body: dict[str, Any], kind: inspect.Type) -> None:
        """Change a field here, or below one that is a struct."""
        kind = bare(kind)
        if isinstance(kind, inspect.UnionType):
            kind = next((part for part in kind.types if isinstance(part, inspect.StructType)), kind)
        if not isinstance(kind, inspect.StructType) or not kind.fields:
            return
        field = self.dice.choice(kind.fields)
        below = body.get(field.encode_name)
        if _is_struct(field.type) and self.dice.random() < 0.8:
            if not isinstance(below, dict):
                below = body[field.encode_name] = {}
            self._spoil(below, field.type)
        else:
            body[field.encode_name] = self.value(field.type)

    def bytes_of(self, body: Any) -> bytes:
        """JSON, now and then broken."""
        text = json.dumps(body).encode()
        luck = self.dice.random()
        if luck < 0.03:
            return self.dice.choice(NOT_JSON)
        if luck < 0.06:
            return text[: self.dice.randrange(len(text) + 1)]
        return text


def _is_struct(kind: inspect.Type) -> bool:
    kind = bare(kind)
    if isinstance(kind, inspect.UnionType):
        return any(isinstance(part, inspect.StructType) for part in kind.types)
    return isinstance(kind, inspect.StructType)
