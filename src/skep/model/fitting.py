"""Makes a value fit the bounds of a type: what was written before there were bounds, and what a
node says of itself, which its cluster takes within bounds only.

Numbers go to the nearest bound, texts and lists are cut, a time without a zone is UTC. What is of
the wrong shape altogether stays as it is, for whoever decodes it to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

T = TypeVar("T")

_KINDS: Mapping[type, tuple[type[inspect.Type], ...]] = {
    dict: (inspect.StructType, inspect.DictType),
    list: (inspect.ListType, inspect.VarTupleType),
    int: (inspect.IntType, inspect.FloatType),
    float: (inspect.FloatType,),
    str: (inspect.StrType, inspect.DateTimeType),
    bytes: (inspect.BytesType,),
}
"""Which kinds of a union a value of a type can belong to."""


def fitted(value: Any, kind: type[T]) -> T:
    """`value`, in builtin types, as a `kind`. Raises ValidationError for the wrong shape."""
    return msgspec.convert(_fit(value, _described(cast(type, kind))), type=kind)


def fitting(value: T) -> T:
    """The same struct within the bounds of its type."""
    builtin = msgspec.to_builtins(value, builtin_types=(bytes, datetime))
    return fitted(builtin, type(value))


def _fit(value: Any, kind: inspect.Type) -> Any:
    match _part(value, kind):
        case inspect.StructType() as struct:
            kinds = {field.encode_name: field.type for field in struct.fields}
            return {key: _fit(v, kinds[key]) if key in kinds else v for key, v in value.items()}
        case inspect.DictType() as table:
            items = islice(value.items(), table.max_length)
            return {_fit(k, table.key_type): _fit(v, table.value_type) for k, v in items}
        case inspect.ListType() | inspect.VarTupleType() as items:
            return [_fit(item, items.item_type) for item in value[: items.max_length]]
        case inspect.IntType() | inspect.FloatType() as number:
            return _nearest(value, number)
        case inspect.DateTimeType():
            return _zoned(value)
        case inspect.StrType() as text if text.pattern and not re.search(text.pattern, value):
            return ""
        case inspect.StrType() | inspect.BytesType() as text:
            return value[: text.max_length]
    return value


def _part(value: Any, kind: inspect.Type) -> inspect.Type | None:
    """The part of `kind` that such a value belongs to."""
    kind = bare(kind)
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    wanted = _KINDS.get(type(value), ())
    return next((part for part in parts if isinstance(part, wanted)), None)


def bare(kind: inspect.Type) -> inspect.Type:
    """Without what is only said about it."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _nearest(value: float, kind: inspect.IntType | inspect.FloatType) -> float:
    least, most = kind.ge, kind.le
    if least is not None and value < least:
        return least
    return most if most is not None and value > most else value


def _zoned(text: str) -> Any:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@cache
def _described(kind: type) -> inspect.Type:
    return inspect.type_info(kind)
