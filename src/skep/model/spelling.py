"""Keys as the nouns spell them, whatever case a client wrote them in.

Go's decoder takes `replicated` for `Replicated`, and docker's Python library relies on that. Only
the names of fields are respelled: the keys of maps (labels, options) are the user's own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import inspect

_Names = dict[str, inspect.Field]


def respelled(value: Any, kind: type) -> Any:
    """Decoded JSON with the fields of `kind` spelled right, and without what is null."""
    return _respell(value, _described(kind))


def _respell(value: Any, kind: inspect.Type) -> Any:
    if isinstance(value, dict):
        return _respell_object(value, _choose(kind, (inspect.StructType, inspect.DictType)))
    if isinstance(value, list):
        items = _choose(kind, (inspect.ListType, inspect.VarTupleType))
        item_kind = items.item_type if items is not None else inspect.AnyType()
        return [_respell(item, item_kind) for item in value]
    return value


def _respell_object(value: dict[str, Any], kind: Any) -> dict[str, Any]:
    given = ((key, item) for key, item in value.items() if item is not None)
    if isinstance(kind, inspect.StructType):
        names = _names(kind.cls)
        fields = ((names.get(key.lower()), key, item) for key, item in given)
        return {
            field.encode_name if field else key: _respell(item, field.type) if field else item
            for field, key, item in fields
        }
    item_kind = kind.value_type if kind is not None else inspect.AnyType()
    return {key: _respell(item, item_kind) for key, item in given}


def _choose(kind: inspect.Type, wanted: tuple[type, ...]) -> Any:
    """The part of `kind` that such a value can be; None when there is none."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next((part for part in parts if isinstance(part, wanted)), None)


@cache
def _described(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


@cache
def _names(kind: type) -> _Names:
    described = _described(kind)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name.lower(): field for field in described.fields}
