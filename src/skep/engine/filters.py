"""The API's `filters` parameter: keys that a list knows, and how labels are matched. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from skep.kit.clock import NS_PER_S, parse_moment_ns
from skep.kit.errors import InvalidArgument
from skep.kit.labels import has_labels
from skep.kit.numbers import shortened

Filters = Mapping[str, Collection[str]]
"""Decoded: key -> wanted values. Values of one key are alternatives; all keys must match."""


def check_filters(filters: Filters | None, known: Collection[str]) -> dict[str, list[str]]:
    """The filters as lists. Raises InvalidArgument for a key that the list does not know."""
    for key in filters or {}:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'")
    return {key: list(values) for key, values in (filters or {}).items() if values}


def flag(filters: Mapping[str, Collection[str]], key: str) -> bool | None:
    """A filter that is true or false; None when it is not given. Raises InvalidArgument."""
    values = {value.lower() for value in filters.get(key, ())}
    if not values:
        return None
    if values <= {"1", "true", "t"}:
        return True
    if values <= {"0", "false", "f"}:
        return False
    raise InvalidArgument(f"invalid filter '{key}={sorted(values)}'")


def passes_labels(labels: Mapping[str, str], filters: Mapping[str, Collection[str]]) -> bool:
    """`label` (all must be there) and `label!` (none may be there)."""
    unwanted = filters.get("label!", ())
    return has_labels(labels, filters.get("label", ())) and not any(
        has_labels(labels, [word]) for word in unwanted
    )


def until_moment(filters: Mapping[str, Collection[str]], now: datetime) -> datetime | None:
    """`until`: a duration before now ("24h"), seconds since 1970, or a date. None: not given.
    Seconds may have a fraction, dates a time; one without a zone is UTC's.

    Raises InvalidArgument.
    """
    values = list(filters.get("until", ()))
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    try:
        moment_ns = parse_moment_ns(values[0], round(now.timestamp() * NS_PER_S))
    except ValueError as error:
        raise InvalidArgument(f"invalid until filter {shortened(values[0])!r}: {error}") from None
    return datetime.fromtimestamp(moment_ns / NS_PER_S, UTC)
