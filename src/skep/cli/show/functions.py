"""The functions that docker's `--format` has beside Go's (source: docker/cli templates)."""

from __future__ import annotations

from typing import Any

from skep.template import GO_FUNCTIONS, Functions, TemplateError
from skep.template.values import absent, as_text, go_type, show, to_json


def _join(values: Any, separator: str) -> str:
    if absent(values):
        return ""
    if not isinstance(values, list | tuple):
        raise TemplateError(f"error calling join: a {go_type(values)} is no list")
    return separator.join(map(show, values))


def _pad(text: Any, before: int, after: int) -> str:
    shown = as_text(text)
    return " " * before + shown + " " * after if shown else shown


def _truncate(text: Any, limit: int) -> str:
    return as_text(text)[:limit]


def _title(text: Any) -> str:
    """The first letter of each word in upper case, the others as they are."""
    shown = as_text(text)
    starts = (not position or shown[position - 1].isspace() for position in range(len(shown)))
    return "".join(c.upper() if start else c for c, start in zip(shown, starts, strict=True))


FORMAT_FUNCTIONS: Functions = {
    **GO_FUNCTIONS,
    "json": to_json,
    "join": _join,
    "split": lambda text, separator: as_text(text).split(separator),
    "lower": lambda text: as_text(text).lower(),
    "upper": lambda text: as_text(text).upper(),
    "title": _title,
    "pad": _pad,
    "truncate": _truncate,
}
