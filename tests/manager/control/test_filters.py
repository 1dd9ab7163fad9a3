"""The `filters` query parameter, in both of docker's notations."""

from __future__ import annotations

import pytest

from skep.kit.errors import InvalidArgument
from skep.manager.control import filters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("{}", {}),
        ('{"name": {"web": true, "db": false}}', {"name": frozenset({"web"})}),
        ('{"name": ["web", "db"]}', {"name": frozenset({"web", "db"})}),
    ],
)
def test_both_notations_are_read(text, expected):
    assert filters.parse_filters(text) == expected


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"name"', '{"name": "web"}', '{"name": [1]}', '{"name": {"web": 1}}', "[" * 9999],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidArgument, match="invalid filters"):
        filters.parse_filters(text)


@pytest.mark.parametrize(
    ("wishes", "holds"),
    [
        (["a"], True),
        (["a=1"], True),
        (["a="], False),
        (["a=2"], False),
        (["a", "b="], True),
        (["a", "c"], False),
        ([], True),
    ],
)
def test_all_labels_must_be_there(wishes, holds):
    labels = {"a": "1", "b": ""}
    assert filters.has_labels({"label": frozenset(wishes)}, "label", labels) is holds


@pytest.mark.parametrize(
    ("given", "truth"), [(["true"], True), (["1"], True), (["False"], False), ([], None)]
)
def test_truth_values(given, truth):
    assert filters.boolean({"dangling": frozenset(given)}, "dangling") is truth


def test_a_truth_value_and_its_opposite_are_refused():
    with pytest.raises(InvalidArgument, match="invalid filter 'dangling="):
        filters.boolean({"dangling": frozenset({"true", "false"})}, "dangling")
