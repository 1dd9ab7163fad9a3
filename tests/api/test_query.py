"""How the Engine API writes values in a query string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.api.query import (
    parse_flag,
    parse_integer,
    parse_platform,
    parse_tail,
    parse_time_ns,
)
from skep.kit.errors import InvalidArgument
from skep.model.image import Platform

NOW_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize("text", ["1", "true", "True", "yes", "on", "anything"])
def test_what_is_not_a_word_for_no_is_true(text: str) -> None:
    assert parse_flag(text)


@pytest.mark.parametrize("text", ["", "0", "false", "False", "no", "none", " 0 "])
def test_words_for_no_are_false(text: str) -> None:
    assert not parse_flag(text)


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_a_whole_number_is_read_as_itself(number: int) -> None:
    assert parse_integer(str(number), "t") == number


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "0x10", "1_000", "٣", "9" * 30, " 1"])
def test_what_is_no_whole_number_is_refused_by_the_parameter_s_name(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid value for limit"):
        parse_integer(text, "limit")


@pytest.mark.parametrize(
    ("text", "lines"), [("", None), ("all", None), ("-1", None), ("0", 0), ("25", 25)]
)
def test_tail_is_a_number_of_lines_or_all(text: str, lines: int | None) -> None:
    assert parse_tail(text) == lines


def test_a_tail_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="tail"):
        parse_tail("some")


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("", None),
        ("0", None),
        ("0.000000000", None),
        ("1700000000", NOW_NS),
        ("1700000000.000000001", NOW_NS + 1),
        ("1700000000.5", NOW_NS + 500_000_000),
        ("-1.5", -1_500_000_000),
        ("10m", NOW_NS - 600_000_000_000),
        ("1h30m", NOW_NS - 5_400_000_000_000),
        ("2023-11-14T22:13:20Z", NOW_NS),
        ("2023-11-14T23:13:20+01:00", NOW_NS),
        ("2023-11-14T22:13:20.123456789Z", NOW_NS + 123_456_789),
    ],
)
def test_a_moment_is_seconds_since_1970_or_a_date_or_how_long_ago(
    text: str, moment_ns: int | None
) -> None:
    assert parse_time_ns(text, "since", NOW_NS) == moment_ns


@pytest.mark.parametrize("text", ["yesterday", "12:00", "1.2.3", "2023-13-01T00:00:00Z"])
def test_what_is_no_moment_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"invalid value for since: .* nor a duration"):
        parse_time_ns(text, "since", NOW_NS)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("", None),
        ("linux", Platform(os="linux")),
        ("arm64", Platform(os="linux", architecture="arm64")),
        ("linux/amd64", Platform(os="linux", architecture="amd64")),
        ("linux/arm64/v8", Platform(os="linux", architecture="arm64", variant="v8")),
    ],
)
def test_a_platform_is_up_to_three_words(text: str, platform: Platform | None) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["/", "linux/", "a/b/c/d"])
def test_a_platform_of_other_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid platform"):
        parse_platform(text)


def test_a_platform_of_one_word_is_one_that_there_is() -> None:
    with pytest.raises(InvalidArgument, match=r'^"foo": unknown operating system or architecture'):
        parse_platform("foo")
