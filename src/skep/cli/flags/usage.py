"""Help as text: usage line, sentence, aliases, commands, options in two columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skep.cli.flags.command import Command
from skep.cli.flags.flag import Flag

_LAST_WORD_SLACK = 5
"""A last word may stand out this far rather than take a line of its own."""


def command_help(
    path: str, sentence: str, command: Command, aliases: Sequence[str], width: int
) -> str:
    """The page of one command; `width` is the terminal's."""
    parts = [command.usage(path), sentence]
    if command.notes:
        parts.append(command.notes)
    if len(aliases) > 1:
        parts.append("Aliases:\n  " + ", ".join(aliases))
    visible = [flag for flag in command.flags if not flag.hidden]
    if visible:
        parts.append("Options:\n" + option_lines(visible, width))
    return "\n\n".join(parts) + "\n"


def option_lines(flags: Iterable[Flag], width: int) -> str:
    """One flag after the other by name, names left, words wrapped to the right of them."""
    rows = [(_left(flag), _right(flag)) for flag in sorted(flags, key=lambda flag: flag.name)]
    column = max(len(left) for left, _ in rows) + 3
    return "\n".join(
        left.ljust(column) + wrap(right, width - 1 - column, column) for left, right in rows
    )


def command_lines(entries: Iterable[tuple[str, str]]) -> str:
    """`name  sentence` in two columns."""
    return "\n".join(f"  {name:<11} {sentence}" for name, sentence in entries)


def wrap(text: str, width: int, indent: int) -> str:
    """`text` in lines of at most `width` characters, all but the first indented."""
    lines = []
    for line in text.splitlines():
        rest = line
        while width > 0 and len(rest) > width + _LAST_WORD_SLACK:
            cut = rest.rfind(" ", 0, width)
            if cut <= 0:
                break
            lines.append(rest[:cut])
            rest = rest[cut + 1 :]
        lines.append(rest)
    return ("\n" + " " * indent).join(lines)


def _left(flag: Flag) -> str:
    short = f"  -{flag.short}, " if flag.short else " " * 6
    return f"{short}--{flag.name} {flag.kind.word}".rstrip()


def _right(flag: Flag) -> str:
    return f"{flag.help} (default {flag.shown})" if flag.shown else flag.help
