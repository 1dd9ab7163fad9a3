"""Patterns that users write, matched by RE2: in a time that grows with the text and never explodes.

Python's own `re` backtracks, so a short expression can keep it busy for years. RE2's syntax is that
of Go's regular expressions, and so docker's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from skep.kit.errors import InvalidArgument

Test = Callable[[str], bool]

_SPECIAL = frozenset(r"\.+*?()|[]{}^$")
_MAX_STEPS = 2000
"""Of all patterns of one question together. A word of n letters has about n steps; the worst
patterns take 10 ns for each of their steps and each letter of what is searched."""
_MAX_MEMORY_BYTES = 128 * 1024


def searching(expressions: Collection[str]) -> Test:
    """Whether a text is one of these, or has in it what one of them describes.

    One that is no regular expression stands for itself alone, as docker has it. Raises
    InvalidArgument when they are too much work together.
    """
    exact = frozenset(expressions)
    words = [text for text in exact if _SPECIAL.isdisjoint(text)]
    programs = _programs(text for text in exact if not _SPECIAL.isdisjoint(text))
    return lambda text: (
        text in exact
        or any(word in text for word in words)
        or any(program.search(text) for program in programs)
    )


def globbing(patterns: Collection[str]) -> Test:
    """Whether a text as a whole is what one of these says; `*` and `?` stop at slashes, as in
    Go's path.Match. Raises InvalidArgument as `searching` does."""
    exact = frozenset(patterns)
    programs = _programs(_of_glob(text) for text in exact if not _SPECIAL.isdisjoint(text))
    return lambda text: text in exact or any(program.search(text) for program in programs)


def _of_glob(pattern: str) -> str:
    parts = {"*": "[^/]*", "?": "[^/]"}
    return rf"\A{''.join(parts.get(c) or re.escape(c) for c in pattern)}\z"


def _programs(expressions: Iterable[str]) -> list[Any]:
    """Those that are expressions, ready to search."""
    programs = [program for text in expressions if (program := _program(text)) is not None]
    if sum(program.programsize for program in programs) > _MAX_STEPS:
        raise InvalidArgument("the patterns of this filter are too much work: use simpler ones")
    return programs


def _program(expression: str) -> Any:
    """None when it is no expression. The library takes 3 MB, and only from its first use on."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MAX_MEMORY_BYTES
    try:
        return re2.compile(expression, options)
    except (re2.error, UnicodeEncodeError):
        return None
    finally:
        re2.purge()  # it would keep the last 128 of them
