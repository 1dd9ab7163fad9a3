"""Command lines are read as docker's (spf13/pflag's) rules have it."""

from __future__ import annotations

from typing import Any

import pytest

from skep.cli.errors import UsageFailure
from skep.cli.flags.command import ANY, AT_MOST_ONE, NONE, ONE, SOME, TWO, Arity
from skep.cli.flags.flag import Options, filters, number, switch, text, texts
from skep.cli.flags.parse import parse
from skep.cli.flags.usage import option_lines, wrap

FLAGS = (
    switch("-d --detach", "Run in the background"),
    switch("-i --interactive", "Keep it open"),
    switch("-t --tty", "A terminal"),
    switch("--sig-proxy", "Hand signals on", default=True),
    text("--name", "Its name"),
    texts("-p --publish", "A port"),
    number("-n --last", "How many", default=-1),
    filters(),
)


def read(*words: str, interspersed: bool = True) -> tuple[Options, list[str]]:
    return parse(FLAGS, words, interspersed=interspersed)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--name", "web"], "name", "web"),
        (["--name=web"], "name", "web"),
        (["--name=a=b"], "name", "a=b"),
        (["--name", "--detach"], "name", "--detach"),
        (["-n", "3"], "last", 3),
        (["-n3"], "last", 3),
        (["-n=3"], "last", 3),
        (["-p80:80", "-p", "81:81", "--publish=82"], "publish", ["80:80", "81:81", "82"]),
        (["--detach=false"], "detach", False),
        (["-d=false"], "detach", False),
        (["--detach=T"], "detach", True),
        (["--sig-proxy=0"], "sig-proxy", False),
        (["-f", " Name = web "], "filter", [("name", "web")]),
        (["--name", "a", "--name", "b"], "name", "b"),
    ],
)
def test_a_flag_takes_its_value(words: list[str], name: str, value: Any) -> None:
    options, rest = read(*words)
    assert (options.value(name), rest) == (value, [])


def test_short_switches_stand_together_and_the_last_may_take_a_value() -> None:
    options, rest = read("-itn5", "web")
    assert (options.yes("interactive"), options.yes("tty"), options.number("last")) == (
        True,
        True,
        5,
    )
    assert rest == ["web"]


def test_what_was_not_given_has_its_default() -> None:
    options, _ = read()
    assert (options.number("last"), options.yes("sig-proxy"), options.items("publish")) == (
        -1,
        True,
        [],
    )
    assert not options.given("last")


def test_flags_may_stand_between_arguments() -> None:
    options, rest = read("a", "-d", "b", "--name", "x")
    assert (rest, options.yes("detach"), options.text("name")) == (["a", "b"], True, "x")


def test_the_words_of_another_program_are_left_alone() -> None:
    options, rest = read("-d", "image", "ls", "-l", "--name", "x", interspersed=False)
    assert (rest, options.given("name")) == (["image", "ls", "-l", "--name", "x"], False)


def test_two_dashes_end_the_flags_and_one_is_an_argument() -> None:
    assert read("-", "--", "-d")[1] == ["-", "-d"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--detatch"], "unknown flag: --detatch\nDid you mean --detach?"),
        (["--zzzzz"], "unknown flag: --zzzzz"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["-dZ"], "unknown shorthand flag: 'Z' in -dZ"),
        (["--name"], "flag needs an argument: --name"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["-n", "x"], 'invalid argument "x" for "-n, --last" flag: not a whole number'),
        (["--tty=x"], 'invalid argument "x" for "-t, --tty" flag: neither true nor false'),
        (
            ["-f", "x"],
            'invalid argument "x" for "-f, --filter" flag: '
            "bad format of filter (expected name=value)",
        ),
    ],
)
def test_a_wrong_flag_is_named_with_what_is_wrong(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageFailure) as caught:
        read(*words)
    assert (str(caught.value), caught.value.code) == (complaint, 125)


@pytest.mark.parametrize(
    ("arity", "count", "complaint"),
    [
        (NONE, 0, None),
        (NONE, 1, "accepts no arguments"),
        (ONE, 0, "requires 1 argument"),
        (TWO, 3, "requires 2 arguments"),
        (SOME, 0, "requires at least 1 argument"),
        (SOME, 9, None),
        (AT_MOST_ONE, 2, "requires at most 1 argument"),
        (Arity(1, 2), 3, "requires at least 1 and at most 2 arguments"),
        (ANY, 0, None),
    ],
)
def test_the_number_of_arguments_is_checked(
    arity: Arity, count: int, complaint: str | None
) -> None:
    assert arity.complaint(count) == complaint


def test_help_puts_names_left_and_wraps_words_right() -> None:
    lines = option_lines((FLAGS[0], FLAGS[4], FLAGS[6]), 40)
    assert lines == (
        "  -d, --detach        Run in the background\n"
        "  -n, --last int      How many (default -1)\n"
        "      --name string   Its name"
    )


def test_a_long_help_text_goes_on_below_itself() -> None:
    assert wrap("one two three four", 9, 4) == "one two\n    three four"
