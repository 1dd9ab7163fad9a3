"""Text of others on a person's terminal: its control characters are shown, not obeyed.

A container names its error, a worker its hostname, an image its labels; a terminal that obeyed them
could be made to type, to hide lines, or to show a state that is not. As `less -R` has it, colours
pass: they are what people put into `--format`.
"""

from __future__ import annotations

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_MARKED = {code: f"\\x{code:02x}" for code in _CONTROLS if chr(code) not in "\t\n"}
_COLOUR = r"\x1b\[[0-9;]*m"


def printable(text: str) -> str:
    r"""`text` with control characters as `\x1b`, but for tabs, newlines and colours."""
    if text.translate(_MARKED) == text:
        return text
    import re  # costs as much as all the rest of a short command: only now

    pieces = re.split(f"({_COLOUR})", text)
    pieces[::2] = [piece.translate(_MARKED) for piece in pieces[::2]]
    return "".join(pieces)
