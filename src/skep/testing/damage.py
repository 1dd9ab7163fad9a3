"""Files as a disk, a crash, a newer version or a person may leave them: seeded, for tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

_BIG = 10**40
_ODD_VALUES: tuple[Any, ...] = (
    None, [], {}, "", "\0", "x" * 5000, "\N{LINE SEPARATOR}", "../../etc/passwd", -1, 2**63, 2**64,
    _BIG, 1.5, True, "2026-01-01T00:00:00", "9999-99-99T00:00:00Z",
)  # fmt: skip


def damaged(content: bytes, dice: random.Random) -> bytes:
    """`content` in one of many ways as it should not be."""
    return dice.choice(_WAYS)(content, dice)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) or 1)]


def _emptied(content: bytes, dice: random.Random) -> bytes:
    return b""


def _flipped(content: bytes, dice: random.Random) -> bytes:
    """One to four bits."""
    changed = bytearray(content or b"\0")
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _page_lost(content: bytes, dice: random.Random) -> bytes:
    """As after a power cut: a part is zeroes."""
    start = dice.randrange(len(content) or 1)
    length = min(dice.choice([16, 512, 4096]), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def _garbage(content: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice([1, 100, 5000]))


def _other_text(content: bytes, dice: random.Random) -> bytes:
    deep = b"[" * 50_000
    return dice.choice(
        [b"null", b"[]", b"{}", b"0", b'""', b"\xff\xfe", deep, b'{"a":' * 50_000, content * 2]
    )


def _newer(content: bytes, dice: random.Random) -> bytes:
    """Somewhere in it a field that is unknown, or one whose value has another form."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _flipped(content, dice)
    places = list(_places(value))
    if not places:
        return b"{}"
    where, key = dice.choice(places)
    if isinstance(where, dict) and dice.random() < 0.3:
        where["Novelty" if dice.random() < 0.5 else "version"] = dice.choice(_ODD_VALUES)
    elif dice.random() < 0.2:
        del where[key]
    else:
        where[key] = dice.choice(_ODD_VALUES)
    return json.dumps(value).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key of a JSON document."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            keys = list(each) if isinstance(each, dict) else list(range(len(each)))
            found += [(each, key) for key in keys]
            waiting += [each[key] for key in keys]
    return found


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut, _emptied, _flipped, _flipped, _page_lost, _garbage, _other_text, _newer, _newer, _newer,
)  # fmt: skip
