"""The tree of a template."""

from __future__ import annotations

from typing import Any, NamedTuple


class Text(NamedTuple):
    text: str


class Literal(NamedTuple):
    value: Any


class Dot(NamedTuple):
    """`.`: the data at hand."""


class Variable(NamedTuple):
    name: str


class Chain(NamedTuple):
    """`base.a.b`: fields of fields."""

    base: Node
    fields: tuple[str, ...]


class Call(NamedTuple):
    """A word or a field with arguments: one link of a pipeline."""

    head: Node
    arguments: tuple[Node, ...]


class Function(NamedTuple):
    name: str


class Pipeline(NamedTuple):
    """Calls, each given the last one's value as its last argument; and what they are put in."""

    calls: tuple[Call, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False


class Output(NamedTuple):
    pipeline: Pipeline


class Branch(NamedTuple):
    """`if`, `with` and `range`, by `word`."""

    word: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Jump(NamedTuple):
    """`break` and `continue`."""

    word: str


Node = Text | Literal | Dot | Variable | Chain | Call | Function | Pipeline | Output | Branch | Jump
