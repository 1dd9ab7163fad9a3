"""What others wrote (an error, a hostname, a label) is shown on a terminal and not obeyed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.cli.show.live import LiveLines
from skep.cli.show.printable import printable

_SHOUT = "n1\x1b[2J\x1b]0;mine\x07\rn2\x9b1A"
_SHOWN = r"n1\x1b[2J\x1b]0;mine\x07\x0dn2\x9b1A"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web  1/1\ttwo\n", "web  1/1\ttwo\n"),
        ("naïve ✓ 蜂", "naïve ✓ 蜂"),
        (_SHOUT, _SHOWN),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[31", r"\x1b[31"),
        ("\x1b\x1b[0m\x1b", "\\x1b\x1b[0m\\x1b"),
    ],
)
def test_control_characters_are_shown_and_colours_pass(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b[m0;\x9b\x07\r\n")))
def test_no_control_character_is_left_but_those_of_a_colour(text: str) -> None:
    rest = re.sub(r"\x1b\[[0-9;]*m", "", printable(text))
    assert not {letter for letter in rest if unicodedata.category(letter) == "Cc"} - {"\t", "\n"}


def test_a_line_that_changes_in_place_obeys_nobody_else() -> None:
    written: list[str] = []
    lines = LiveLines(written.append, terminal=True)
    lines.set("1/1", _SHOUT)
    assert written == [f"1/1: {_SHOWN}\n"]


def test_what_is_no_terminal_gets_the_bytes_as_they_are(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any]
) -> None:
    daemon.answer("GET /nodes/n1", answer({"json": {"message": _SHOUT}, "status": 404}))
    assert _SHOUT in skep("node", "inspect", "n1").err
