"""Template text as tokens: plain text, and the words inside `{{…}}`.

Trim marks (`{{- ` and ` -}}`) are applied here: the text tokens come out trimmed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from skep.template.errors import TemplateError

_SPACE = " \t\r\n"
_COMMENT = re.compile(r"/\*.*?\*/\s*(?=-?\}\})", re.DOTALL)
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<close>(?:(?<=[ \t\r\n])-)?\}\})
  | (?P<string>"(?:\\.|[^"\\\n])*" | `[^`]*`)
  | (?P<char>'(?:\\.|[^'\\\n])+')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<variable>\$\w*)
  | (?P<word>[^\W\d]\w*)
  | (?P<mark>:=|[.|(),=])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """`kind`: text, open, close, string, char, number, field, variable, word, mark or space."""

    kind: str
    text: str


OPEN = Token("open", "{{")
CLOSE = Token("close", "}}")


def tokens(template: str) -> Iterator[Token]:
    """Raises TemplateError for an action that is not closed or has a character of no meaning."""
    position, trim = 0, False
    while True:
        start = template.find("{{", position)
        text = template[position:] if start < 0 else template[position:start]
        if trim:
            text = text.lstrip(_SPACE)
        if start < 0:
            yield from _text(text)
            return
        start += 2
        if template[start : start + 1] == "-" and template[start + 1 : start + 2] in tuple(_SPACE):
            text = text.rstrip(_SPACE)
            start += 2
        yield from _text(text)
        comment = _COMMENT.match(template, start)
        if comment:
            position, trim = _end(template, comment.end())
            continue
        yield OPEN
        inside = _Inside(template, start)
        yield from inside
        yield CLOSE
        position, trim = inside.position, inside.trim


def _text(text: str) -> Iterator[Token]:
    if text:
        yield Token("text", text)


def _end(template: str, position: int) -> tuple[int, bool]:
    trim = template[position] == "-"
    return position + (3 if trim else 2), trim


class _Inside:
    """The tokens of one action, up to its closing braces; then `position` is behind them."""

    def __init__(self, template: str, position: int) -> None:
        self.position = position
        self.trim = False
        self._template = template

    def __iter__(self) -> Iterator[Token]:
        while True:
            match = _TOKEN.match(self._template, self.position)
            if match is None:
                raise TemplateError(self._complaint())
            kind = match.lastgroup or ""
            self.position = match.end()
            if kind == "close":
                self.trim = match.group().startswith("-")
                return
            yield Token(kind, match.group())

    def _complaint(self) -> str:
        rest = self._template[self.position :]
        if not rest or "}}" not in rest:
            return "unclosed action"
        if rest[0] in "\"`'":
            return "unterminated quoted string"
        return f"unexpected {rest[0]!r} in action"
