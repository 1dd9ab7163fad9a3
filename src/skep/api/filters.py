"""Docker's list filters: `?filters={"name": {"web": true}, "label": ["a", "b=c"]}`.

Values of one key are alternatives; keys must all be met. Labels are the exception: all of them
must be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from skep.kit.clock import NS_PER_S, parse_moment_ns
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.kit.labels import LabelQuery
from skep.kit.numbers import shortened

Filters = Mapping[str, frozenset[str]]
"""Key -> wanted values."""


def parse_filters(text: str) -> Filters:
    """Read the query parameter, in its map form or in the older list form; "" is no filter.

    Raises InvalidArgument when it is not JSON of one of these shapes.
    """
    if not text:
        return {}
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
    if given <= {"1", "true", "t"}:
        return True
    if given <= {"0", "false", "f"}:
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


def labels(filters: Filters) -> LabelQuery:
    """`label` (all must be there) and `label!` (none may be there)."""
    return LabelQuery(filters.get("label", ()), filters.get("label!", ()))


def until(filters: Filters, now: datetime) -> datetime | None:
    """`until`: a duration before now ("24h"), seconds since 1970, or a date. None: not given.
    Seconds may have a fraction, dates a time; one without a zone is UTC's.
    """
    given = sorted(filters.get("until", ()))
    if not given:
        return None
    if len(given) > 1:
        raise InvalidArgument("more than one until filter specified")
    try:
        moment_ns = parse_moment_ns(given[0], round(now.timestamp() * NS_PER_S))
    except ValueError as error:
        raise InvalidArgument(f"invalid until filter {shortened(given[0])!r}: {error}") from None
    return datetime.fromtimestamp(moment_ns / NS_PER_S, UTC)
