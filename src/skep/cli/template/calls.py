"""The functions that a template may call: Go's own, and docker's."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from skep.cli.template.errors import TemplateError
from skep.cli.template.printf import printf
from skep.cli.template.values import (
    absent,
    compare,
    equal,
    go_type,
    index,
    length,
    show,
    to_json,
    true,
)


def _and(*values: Any) -> Any:
    return next((value for value in values if not true(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if true(value)), values[-1])


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(equal(first, other) for other in others)


def _ne(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise TemplateError(f"can't slice item of type {go_type(value)}")
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"index out of range: {high}")
    return value[low:high]


def _print(*values: Any) -> str:
    """Go's Sprint: a space between two neighbours that are both no strings."""
    text = ""
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            text += " "
        text += show(value)
    return text


def _println(*values: Any) -> str:
    return " ".join(map(show, values)) + "\n"


def _join(values: Any, separator: str) -> str:
    if absent(values):
        return ""
    if not isinstance(values, list | tuple):
        raise TemplateError(f"error calling join: a {go_type(values)} is no list")
    return separator.join(map(show, values))


def _pad(text: Any, before: int, after: int) -> str:
    shown = _text(text)
    return " " * before + shown + " " * after if shown else shown


def _truncate(text: Any, limit: int) -> str:
    return _text(text)[:limit]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected string; got {go_type(value)}")
    return value


def _title(text: Any) -> str:
    """The first letter of each word in upper case, the others as they are."""
    shown = _text(text)
    starts = (not position or shown[position - 1].isspace() for position in range(len(shown)))
    return "".join(c.upper() if start else c for c, start in zip(shown, starts, strict=True))


def _html(*values: Any) -> str:
    text = _print(*values)
    for plain, escaped in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;")):
        text = text.replace(plain, escaped)
    return text.replace(">", "&gt;")


def _urlquery(*values: Any) -> str:
    from skep.cli.client.wire import quote

    return quote(_print(*values), safe=" ").replace(" ", "+")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not true(value),
    "eq": _eq,
    "ne": _ne,
    "lt": compare("lt", operator.lt),
    "le": compare("le", operator.le),
    "gt": compare("gt", operator.gt),
    "ge": compare("ge", operator.ge),
    "len": length,
    "index": index,
    "slice": _slice,
    "print": _print,
    "printf": printf,
    "println": _println,
    "html": _html,
    "urlquery": _urlquery,
    "json": to_json,
    "join": _join,
    "split": lambda text, separator: _text(text).split(separator),
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "title": _title,
    "pad": _pad,
    "truncate": _truncate,
}
