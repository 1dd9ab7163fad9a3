"""A tree and data into text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skep.template.budget import UNLIMITED, Budget
from skep.template.calls import Functions
from skep.template.errors import TemplateError
from skep.template.nodes import (
    Branch,
    Call,
    Chain,
    Dot,
    Function,
    Jump,
    Literal,
    Node,
    Output,
    Pipeline,
    Text,
    Variable,
)
from skep.template.values import Missing, MissingKey, absent, field, show, true

_NO_VALUE: tuple[Any, ...] = ()


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A parsed template."""

    def __init__(self, nodes: Sequence[Node], functions: Functions) -> None:
        self.nodes = nodes
        self._functions = functions

    def execute(
        self, data: Any, *, missing: MissingKey = "shown", budget: Budget = UNLIMITED
    ) -> str:
        """The text for `data`; raises TemplateError with Go's words."""
        run = _Run(data, self._functions, missing, budget)
        run.block(self.nodes, data)
        return "".join(run.out)


class _Run:
    def __init__(
        self, data: Any, functions: Functions, missing: MissingKey, budget: Budget
    ) -> None:
        self.out: list[str] = []
        self._functions = functions
        self._missing = missing
        self._budget = budget
        self._variables: list[tuple[str, Any]] = [("$", data)]

    # Nodes

    def block(self, nodes: Sequence[Node], dot: Any) -> None:
        known = len(self._variables)
        for node in nodes:
            self._node(node, dot)
        del self._variables[known:]

    def _node(self, node: Node, dot: Any) -> None:
        self._budget.step()
        match node:
            case Text(text):
                self._write(text)
            case Output(pipeline):
                value = self._pipeline(pipeline, dot)
                if not pipeline.variables:
                    self._print(value)
            case Branch():
                self._branch(node, dot)
            case Jump(word):
                raise _Break if word == "break" else _Continue

    def _print(self, value: Any) -> None:
        if self._missing != "shown" and isinstance(value, Missing):
            raise _no_entry(value)
        self._write(show(value))

    def _write(self, text: str) -> None:
        self._budget.write(text)
        self.out.append(text)

    def _branch(self, node: Branch, dot: Any) -> None:
        known = len(self._variables)
        if node.word == "range":
            self._range(node, dot)
        else:
            value = self._pipeline(node.pipeline, dot)
            if true(value):
                self.block(node.body, value if node.word == "with" else dot)
            else:
                self.block(node.otherwise, dot)
        del self._variables[known:]

    def _range(self, node: Branch, dot: Any) -> None:
        value = self._pipeline(node.pipeline._replace(variables=()), dot)
        empty = True
        known = len(self._variables)
        for key, item in _items(value):
            empty = False
            self._budget.step()
            self._bind_range(node.pipeline, key, item)
            try:
                self.block(node.body, item)
            except _Continue:
                continue
            except _Break:
                break
            finally:
                del self._variables[known:]
        if empty:
            self.block(node.otherwise, dot)

    def _bind_range(self, pipeline: Pipeline, key: Any, item: Any) -> None:
        values = (item,) if len(pipeline.variables) == 1 else (key, item)
        for name, value in zip(pipeline.variables, values, strict=False):
            self._bind(name, value, pipeline.declares)

    # Values

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        last = _NO_VALUE
        for call in pipeline.calls:
            last = (self._call(call, dot, last),)
        for name in pipeline.variables:
            self._bind(name, last[0], pipeline.declares)
        return last[0]

    def _bind(self, name: str, value: Any, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, value)
                return

    def _call(self, call: Call, dot: Any, last: tuple[Any, ...]) -> Any:
        if isinstance(call.head, Function) and call.head.name in {"and", "or"} and not last:
            return self._short_cut(call.head.name, call.arguments, dot)
        arguments = [self._value(argument, dot) for argument in call.arguments]
        arguments += last
        if isinstance(call.head, Function):
            return self._apply(call.head.name, self._functions[call.head.name], arguments)
        return self._value(call.head, dot, arguments)

    def _short_cut(self, name: str, arguments: tuple[Node, ...], dot: Any) -> Any:
        if not arguments:
            raise TemplateError(f"wrong number of args for {name}: want at least 1 got 0")
        value: Any = None
        for argument in arguments:
            value = self._value(argument, dot)
            if true(value) == (name == "or"):
                break
        return value

    def _value(self, node: Node, dot: Any, arguments: Sequence[Any] = ()) -> Any:
        match node:
            case Chain(base, names):
                value = self._value(base, dot)
                for name in names[:-1]:
                    value = self._field(value, name, ())
                return self._field(value, names[-1], arguments)
            case Function(name):
                return self._apply(name, self._functions[name], arguments)
        if arguments:
            raise TemplateError("can't give argument to non-function")
        match node:
            case Literal(value):
                return value
            case Dot():
                return dot
            case Variable(name):
                return next(value for known, value in reversed(self._variables) if known == name)
            case Pipeline():
                return self._pipeline(node, dot)
        raise AssertionError(node)

    def _field(self, value: Any, name: str, arguments: Sequence[Any]) -> Any:
        found = field(value, name)
        if self._missing == "error" and isinstance(found, Missing):
            raise _no_entry(found)
        if callable(found):
            return self._apply(name, found, arguments)
        if arguments:
            raise TemplateError(f"{name} has arguments but cannot be invoked as function")
        return found

    def _apply(self, name: str, function: Any, arguments: Sequence[Any]) -> Any:
        self._budget.step()
        for argument in arguments:
            self._budget.write(argument)
        try:
            result = function(*arguments)
        except TypeError:
            raise TemplateError(
                f"error calling {name}: wrong number or type of arguments ({len(arguments)} given)"
            ) from None
        self._budget.write(result)
        return result


def _no_entry(missing: Missing) -> TemplateError:
    return TemplateError(f'map has no entry for key "{missing.name}"')


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """What `range` goes over: a list by position, a map by sorted key, a number from 0."""
    if isinstance(value, Mapping):
        yield from ((key, value[key]) for key in sorted(value))
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from ((number, number) for number in range(value))
    elif not absent(value):
        raise TemplateError(f"range can't iterate over {show(value)}")
