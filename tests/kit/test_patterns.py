"""Patterns of users: what they mean is what Python's `re` and `fnmatch` say, as far as these go."""

from __future__ import annotations

import re
import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.errors import InvalidArgument
from skep.kit.patterns import globbing, searching

ATOMS = st.sampled_from(["a", "b", "-", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", "^", "$", r"\."])
REPEATED = st.builds("{}{}".format, ATOMS, st.sampled_from(["", "", "*", "+", "?", "{1,3}"]))
EXPRESSIONS = st.lists(REPEATED, max_size=5).map("".join)
TEXTS = st.text("ab-./", max_size=8)


@given(EXPRESSIONS, TEXTS)
def test_an_expression_means_what_it_means_to_python(expression: str, text: str) -> None:
    try:
        expected = bool(re.search(expression, text))
    except re.error:
        return
    assert searching([expression])(text) == (expected or text == expression)


@given(st.text("ab*?.", max_size=6), st.text("ab.", max_size=8))
def test_a_glob_means_what_it_means_to_python(pattern: str, text: str) -> None:
    assert globbing([pattern])(text) == fnmatchcase(text, pattern)


def test_a_star_stops_at_a_slash() -> None:
    assert globbing(["*/app"])("registry/app")
    assert not globbing(["*app"])("registry/app")


def test_any_of_several_is_enough() -> None:
    wanted = searching(["web", "^db[0-9]$", "(broken"])
    assert [wanted(text) for text in ("my-web-1", "db1", "(broken", "db12", "broken")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@given(st.lists(st.text(), max_size=5), st.text())
def test_any_text_is_a_pattern(patterns: list[str], text: str) -> None:
    for matches in (searching(patterns), globbing(patterns)):
        assert matches(text) or text not in patterns


def test_what_is_too_much_work_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="too much work"):
        searching([f"({'a?' * 100}){number}" for number in range(100)])


def test_the_worst_that_is_taken_is_over_soon() -> None:
    matches = searching(["((a{0,30}){0,30})$x"])
    began = time.monotonic()
    for _ in range(100):
        assert not matches("a" * 128)
    assert time.monotonic() - began < 2
