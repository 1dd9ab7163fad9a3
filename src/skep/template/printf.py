"""Go's Sprintf for the verbs that people use in templates: %s %v %d %q %x %o %b %c %t %f %e %g."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from skep.template.values import go_type, show

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\d{1,9})?(?:\.(?P<precision>\d{0,9}))?(?P<verb>.)"
)
_INTEGER_FORMS = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}

_WIDEST = 256
"""Go ends at a million: a template of a few letters would be a megabyte of blanks."""


def printf(template: str, *arguments: Any) -> str:
    """Wrong verbs and missing arguments are shown in place, as Go shows them; nothing raises."""
    waiting = deque(arguments)

    def one(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not waiting:
            return f"%!{verb}(MISSING)"
        return _padded(_form(waiting.popleft(), verb, match), match)

    text = _VERB.sub(one, template)
    if waiting:
        extra = ", ".join(f"{go_type(value)}={show(value)}" for value in waiting)
        text += f"%!(EXTRA {extra})"
    return text


def _form(value: Any, verb: str, match: re.Match[str]) -> str:
    precision = match["precision"]
    if verb in "vs":
        text = show(value)
        return text if precision is None or verb == "v" else text[: int(precision or 0)]
    if verb == "t" and isinstance(value, bool):
        return show(value)
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if verb == "x" and isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, int) and not isinstance(value, bool):
        if verb in _INTEGER_FORMS:
            plus = "+" if "+" in match["flags"] else ""
            return f"{value:{plus}{_INTEGER_FORMS[verb]}}"
        if verb == "c":
            return _character(value)
    if verb in "feg" and isinstance(value, int | float):
        digits = "6" if precision is None else (precision or "0")
        if int(digits) > _WIDEST:
            return f"%!(BADPREC){value}"
        return (
            show(float(value)) if verb == "g" and precision is None else f"{value:.{digits}{verb}}"
        )
    return f"%!{verb}({go_type(value)}={show(value)})"


def _character(number: int) -> str:
    """U+FFFD for what is no character, as Go writes it."""
    is_one = 0 <= number < 0xD800 or 0xE000 <= number <= 0x10FFFF
    return chr(number) if is_one else "\ufffd"


def _padded(text: str, match: re.Match[str]) -> str:
    width = int(match["width"] or 0)
    if width > _WIDEST:
        return f"%!(BADWIDTH){text}"
    if "-" in match["flags"]:
        return text.ljust(width)
    return text.zfill(width) if "0" in match["flags"] else text.rjust(width)
