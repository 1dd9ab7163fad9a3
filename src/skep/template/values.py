"""How Go writes, measures and compares values, for values that came from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from skep.template.errors import TemplateError

MissingKey = Literal["shown", "unprintable", "error"]
"""What becomes of a key that a map does not have.

shown        as "<no value>" (Go's default)
unprintable  it may be asked about (`if`, `with`), not printed: docker's client knows the fields
             that the daemon leaves out when they are empty, and templates count on that
error        wherever it is named (Go's option missingkey=error)
"""


class Missing:
    """What a map answers for a key that it does not have: false, and printed as Go does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return "<no value>"


class GoStruct:
    """A value of a Go struct: unlike a map it has these fields and no others."""

    def __init__(self, go_type: str, **fields: Any) -> None:
        self.go_type = go_type
        self.fields = fields

    def __str__(self) -> str:
        return f"{{{' '.join(map(show, self.fields.values()))}}}"


def absent(value: Any) -> bool:
    """Nothing, or not even that."""
    return value is None or isinstance(value, Missing)


def show(value: Any) -> str:
    """A value as `{{.}}` prints it (Go's %v)."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return show_float(value)
        case Mapping():
            items = (f"{show(key)}:{show(value[key])}" for key in sorted(value))
            return f"map[{' '.join(items)}]"
        case list() | tuple():
            return f"[{' '.join(map(show, value))}]"
    return str(value)


def show_float(number: float) -> str:
    """Go's shortest form: an exponent below 1e-4 and from 1e21 on, two digits of it at least."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    digits = repr(number)
    mantissa, mark, exponent = digits.partition("e")
    if mark and -5 < int(exponent) < 21:
        return f"{number:.0f}" if int(exponent) > 0 else f"{number:f}"
    if mark:
        sign, power = exponent[0], exponent.lstrip("+-")
        return f"{mantissa.removesuffix('.0')}e{'-' if sign == '-' else '+'}{power:0>2}"
    return digits.removesuffix(".0")


def as_text(value: Any) -> str:
    """For functions that take nothing else."""
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected string; got {go_type(value)}")
    return value


def true(value: Any) -> bool:
    """Go's truth: false for false, 0, nil, and anything empty."""
    if absent(value):
        return False
    if isinstance(value, bool | int | float):
        return value != 0
    if isinstance(value, str | list | tuple | Mapping):
        return len(value) > 0
    return True


def to_json(value: Any) -> str:
    """Go's encoding/json without HTML escapes: compact, the keys of plain maps in order."""
    return json.dumps(
        None if isinstance(value, Missing) else value,
        separators=(",", ":"),
        ensure_ascii=False,
        default=_plain,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def field(value: Any, name: str) -> Any:
    """`.name` of a value: a field of a struct, a key of a map."""
    if isinstance(value, GoStruct) and name in value.fields:
        return value.fields[name]
    if isinstance(value, Mapping):
        return value.get(name, Missing(name))
    if value is None:
        raise TemplateError(f"nil data; no entry for key {json.dumps(name)}")
    if isinstance(value, Missing):
        raise TemplateError(f"nil pointer evaluating interface {{}}.{name}")
    raise TemplateError(f"can't evaluate field {name} in type {go_type(value)}")


def go_type(value: Any) -> str:
    """The Go type a JSON value would have, for messages."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "json.Number"
        case str():
            return "string"
        case list() | tuple():
            return "[]interface {}"
        case Mapping():
            return "map[string]interface {}"
        case GoStruct():
            return value.go_type
    return "interface {}"


def length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | Mapping):
        return len(value)
    if value is None:
        return 0  # An empty list or map, as the API often writes them.
    raise TemplateError(f"len of type {go_type(value)}")


def index(value: Any, *keys: Any) -> Any:
    """`index x 1 2`: x[1][2]."""
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list | tuple | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = value[key]
        elif absent(value):
            raise TemplateError("index of untyped nil")
        else:
            raise TemplateError(f"cannot index {go_type(value)} with {show(key)}")
    return value


def compare(name: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """An ordering function of two numbers or two strings."""

    def function(left: Any, right: Any) -> bool:
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (left, right))
        if numbers or (isinstance(left, str) and isinstance(right, str)):
            return holds(left, right)
        raise TemplateError(f"error calling {name}: incompatible types for comparison")

    return function


def equal(left: Any, right: Any) -> bool:
    """Equality of the same kind of value; Go refuses to compare apples with pears."""
    if absent(left) or absent(right):
        return absent(left) and absent(right)
    same = isinstance(left, type(right)) or isinstance(right, type(left))
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (left, right))
    if not (same or numbers) or isinstance(left, bool) != isinstance(right, bool):
        raise TemplateError("error calling eq: incompatible types for comparison")
    return bool(left == right)
