"""Docker's list filters: `?filters={"name": {"web": true}, "label": ["a", "b=c"]}`.

Values of one key are alternatives; keys must all be met. Labels are the exception: all of them
must be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.kit.numbers import shortened

Filters = Mapping[str, frozenset[str]]
NO_FILTERS: Filters = {}


def parse_filters(text: str) -> Filters:
    """Read the query parameter, in its map form or in the older list form; "" is no filter.

    Raises InvalidArgument when it is not JSON of one of these shapes.
    """
    if not text:
        return NO_FILTERS
    try:
        raw = msgspec.json.decode(text)
    except (*UNDECODABLE, UnicodeEncodeError):
        raise InvalidArgument(f"invalid filters: not JSON: {shortened(text)}") from None
    if not isinstance(raw, dict):
        raise InvalidArgument('invalid filters: write a map such as {"name": ["web"]}')
    return {key: _values(key, value) for key, value in raw.items()}


def _values(key: str, value: Any) -> frozenset[str]:
    if isinstance(value, dict):
        chosen = [item for item, wanted in value.items() if wanted is True]
        if all(isinstance(wanted, bool) for wanted in value.values()):
            return frozenset(chosen)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    raise InvalidArgument(f"invalid filters: the values of '{key}' must be strings")


def check_keys(filters: Filters, known: Iterable[str]) -> None:
    """Refuse a filter that the listing does not have, in docker's words."""
    unknown = sorted(set(filters) - set(known))
    if unknown:
        raise InvalidArgument(f"invalid filter '{unknown[0]}'")


def invalid_value(key: str, value: str) -> InvalidArgument:
    return InvalidArgument(f"invalid filter '{key}={value}'")


def one_of(filters: Filters, key: str, allowed: Iterable[str]) -> frozenset[str]:
    """The values given for `key`, each of which must be one of `allowed`."""
    given = filters.get(key, frozenset())
    for value in sorted(given - set(allowed)):
        raise invalid_value(key, value)
    return given


def boolean(filters: Filters, key: str) -> bool | None:
    """The truth value given for `key`, None when it was not given."""
    given = {value.lower() for value in filters.get(key, ())}
    if not given:
        return None
    if given <= {"1", "true"}:
        return True
    if given <= {"0", "false"}:
        return False
    raise invalid_value(key, min(given))


def has_prefix(filters: Filters, key: str, value: str) -> bool:
    """No wish, or `value` starts with one of those given (ids and names)."""
    given = filters.get(key)
    return not given or any(value.startswith(prefix) for prefix in given)


def is_among(filters: Filters, key: str, value: str) -> bool:
    """No wish, or `value` is one of those given."""
    given = filters.get(key)
    return not given or value in given


def has_labels(filters: Filters, key: str, labels: Mapping[str, str]) -> bool:
    """Every label that was asked for, `k` or `k=v`, is there."""
    return all(_has_label(wish, labels) for wish in filters.get(key, ()))


def _has_label(wish: str, labels: Mapping[str, str]) -> bool:
    name, equals, value = wish.partition("=")
    return name in labels and (not equals or labels[name] == value)


def contains(filters: Filters, key: str, value: str) -> bool:
    """No wish, or `value` has one of those given in it (docker's network names)."""
    given = filters.get(key)
    return not given or any(part in value for part in given)
