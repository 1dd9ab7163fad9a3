"""Labels as people choose by them: `key`, or `key=value`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


def has_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether all of `key` or `key=value` are among the labels."""
    for word in wanted:
        key, equals, value = word.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


class LabelQuery(NamedTuple):
    """Labels of which all must be there, and of which none may be."""

    having: Collection[str] = ()
    lacking: Collection[str] = ()

    def passes(self, labels: Mapping[str, str]) -> bool:
        return has_labels(labels, self.having) and not any(
            has_labels(labels, [word]) for word in self.lacking
        )


ANY_LABELS = LabelQuery()
