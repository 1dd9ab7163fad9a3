"""Labels as people choose by them: `key`, or `key=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def has_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether all of `key` or `key=value` are among the labels."""
    for word in wanted:
        key, equals, value = word.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
