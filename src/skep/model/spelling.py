"""Keys as the nouns spell them, whatever case a client wrote them in.

Go's decoder takes `replicated` for `Replicated`, and docker's Python library relies on that. Only
the names of fields are respelled: the keys of maps (labels, options) are the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import inspect

from skep.kit.errors import Unimplemented

_Names = dict[str, inspect.Field]
_Path = tuple[str, ...]


def respelled(value: Any, kind: type, unknown: list[str] | None = None) -> Any:
    """Decoded JSON with the fields of `kind` spelled right, and without what is null.

    Keys that no struct has are left out, and their paths appended to `unknown` (`HostConfig.Foo`);
    without that list they stay, for the decoder to refuse. Raises Unimplemented for one of a
    struct's `unsupported` keys that asks for something.
    """
    return _Respelling(unknown).any(value, _described(kind), ())


class _Respelling:
    def __init__(self, unknown: list[str] | None) -> None:
        self._unknown = unknown

    def any(self, value: Any, kind: inspect.Type, path: _Path) -> Any:
        if isinstance(value, dict):
            part = _choose(kind, (inspect.StructType, inspect.DictType))
            if isinstance(part, inspect.StructType):
                return self._struct(value, part.cls, path)
            return self._map(value, part, path)
        if isinstance(value, list):
            part = _choose(kind, (inspect.ListType, inspect.VarTupleType))
            item_kind = part.item_type if part is not None else inspect.AnyType()
            return [self.any(item, item_kind, path) for item in value]
        return value

    def _struct(self, value: dict[str, Any], cls: type, path: _Path) -> dict[str, Any]:
        names, result = _names(cls), {}
        for key, item in value.items():
            if item is None:
                continue
            if field := names.get(key.lower()):
                result[field.encode_name] = self.any(item, field.type, (*path, field.encode_name))
            else:
                _refuse_unsupported(cls, key, item, path)
                if self._unknown is None:
                    result[key] = item
                else:
                    self._unknown.append(".".join((*path, key)))
        return result

    def _map(self, value: dict[str, Any], kind: Any, path: _Path) -> dict[str, Any]:
        """In Go's maps a null is the zero value, under a key that is there all the same: docker's
        `{"80/tcp": null}` exposes a port."""
        item_kind = kind.value_type if kind is not None else inspect.AnyType()
        zero = _ZEROS.get(type(item_kind))
        return {
            key: zero if item is None else self.any(item, item_kind, (*path, key))
            for key, item in value.items()
        }


_ZEROS: Mapping[type, Any] = {inspect.DictType: {}, inspect.ListType: [], inspect.StrType: ""}


def _refuse_unsupported(cls: type, key: str, value: Any, path: _Path) -> None:
    name, nothing = _unsupported(cls).get(key.lower(), (key, value))
    if value and value != nothing:
        raise Unimplemented(f"{'.'.join((*path, name))} is not supported by skep")


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


@cache
def _unsupported(kind: type) -> Mapping[str, tuple[str, Any]]:
    """Key in small letters -> how the API spells it, and the value that asks for nothing."""
    keys: Mapping[str, Any] = getattr(kind, "unsupported", {})
    return {name.lower(): (name, nothing) for name, nothing in keys.items()}
