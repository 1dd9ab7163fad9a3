"""How the Engine API writes values in a query string: texts to values, no I/O."""

from __future__ import annotations

from skep.kit.clock import parse_moment_ns
from skep.kit.errors import InvalidArgument
from skep.kit.numbers import INT64_MAX, INT64_MIN, parse_int, shortened
from skep.model.image import Platform

_FALSE = frozenset({"", "0", "no", "false", "none"})


def parse_flag(text: str) -> bool:
    """Everything but `""`, `0`, `no`, `false` and `none` is true, as dockerd has it."""
    return text.strip().lower() not in _FALSE


def parse_integer(text: str, name: str, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """A whole number, in ASCII digits; raises InvalidArgument that names the parameter."""
    try:
        return parse_int(text, low, high)
    except ValueError as error:
        raise InvalidArgument(f"invalid value for {name}: {error}") from None


def parse_tail(text: str) -> int | None:
    """How many of the last lines are wanted; None for `all` (or nothing, or a negative number)."""
    if text in {"", "all"}:
        return None
    lines = parse_integer(text, "tail")
    return lines if lines >= 0 else None


def parse_time_ns(text: str, name: str, now_ns: int) -> int | None:
    """A moment as ns since 1970: `1700000000[.5]`, RFC 3339, or how long ago (`10m`).

    None for an empty text and for 0: no bound.
    """
    if text in {"", "0"}:
        return None
    try:
        return parse_moment_ns(text, now_ns) or None
    except ValueError:
        raise InvalidArgument(
            f'invalid value for {name}: "{shortened(text)}" is neither seconds since 1970, '
            "nor a time such as 2026-01-31T10:00:00Z, nor a duration such as 10m"
        ) from None


_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd"})
_ARCHITECTURES = frozenset(
    {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"}
)


def parse_platform(text: str) -> Platform | None:
    """`linux/arm64/v8`, or only an operating system or an architecture; None when nothing was
    asked for."""
    if not text:
        return None
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f'invalid platform "{text}": write it as in linux/amd64')
    if text in _ARCHITECTURES:
        return Platform(architecture=text, os="linux")
    if len(parts) == 1 and text not in _SYSTEMS:
        raise InvalidArgument(f'"{text}": unknown operating system or architecture')
    os, architecture, variant = [*parts, "", ""][:3]
    return Platform(architecture=architecture, os=os, variant=variant)
