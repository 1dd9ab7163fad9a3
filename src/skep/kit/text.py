"""What others wrote, made fit for one line of somebody's terminal."""

from __future__ import annotations

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""What moves the cursor, colours, breaks the line or turns its direction."""


def plain(text: str, most: int) -> str:
    """One line of at most `most` characters, with a space for each run of control characters."""
    if len(text) <= most and text.isprintable():
        return text
    text = _CONTROLS.sub(" ", text[: most + 1])
    return text if len(text) <= most else text[: most - 2] + " …"
