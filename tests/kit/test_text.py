"""What others wrote becomes one line that does nothing to a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from skep.kit.text import plain


@given(st.text(), st.integers(2, 40))
def test_a_plain_text_is_short_and_controls_nothing(text: str, most: int) -> None:
    made = plain(text, most)
    assert len(made) <= most
    assert not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in made)
    assert plain(made, most) == made


def test_what_is_plain_stays_and_what_is_not_is_a_space() -> None:
    assert plain("No such image: web:1", 100) == "No such image: web:1"
    assert plain("\x1b[31mred\r\n\tand\u202eblack", 100) == " [31mred and black"
    assert plain("x" * 10, 5) == "xxx …"
