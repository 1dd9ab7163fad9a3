"""The functions that a template may call: Go's own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from skep.template.errors import TemplateError
from skep.template.printf import printf
from skep.template.values import (
    compare,
    equal,
    go_type,
    index,
    length,
    show,
    true,
)


def _and(first: Any, *others: Any) -> Any:
    values = (first, *others)
    return next((value for value in values if not true(value)), values[-1])


def _or(first: Any, *others: Any) -> Any:
    values = (first, *others)
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


def _html(*values: Any) -> str:
    text = _print(*values)
    for plain, escaped in (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;")):
        text = text.replace(plain, escaped)
    return text.replace(">", "&gt;")


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"'} | {
    char: f"\\u{ord(char):04X}" for char in [*"<>&=", *map(chr, range(0x20))]
}


def _js(*values: Any) -> str:
    return "".join(_JS.get(char, char) for char in _print(*values))


def _urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus  # slow to load, and seldom wanted

    return quote_plus(_print(*values))


Functions = Mapping[str, Callable[..., Any]]

GO_FUNCTIONS: Functions = {
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
    "js": _js,
    "urlquery": _urlquery,
}
