"""Lines that change in place on a terminal; on anything else, a line for each new thing said."""

from __future__ import annotations

from collections.abc import Callable

from skep.cli.show.printable import printable


class LiveLines:
    """Lines by name, in the order in which they were first set."""

    def __init__(self, write: Callable[[str], object], *, terminal: bool) -> None:
        self._write = write
        self._terminal = terminal
        self._order: list[str] = []
        self._shown: dict[str, str] = {}

    def set(self, name: str, text: str) -> None:
        """Show `name: text`, in the place of what `name` said before."""
        line = f"{name}: {text}" if name else text
        if self._terminal:
            line = printable(line)
        if self._shown.get(name) == line:
            return
        if not self._terminal:
            self._write(line.rstrip() + "\n")
        elif name in self._shown:
            up = len(self._order) - self._order.index(name)
            self._write(f"\x1b[{up}A\x1b[2K\r{line}\r\x1b[{up}B")
        else:
            self._write(f"{line}\n")
            self._order.append(name)
        self._shown[name] = line

    def say(self, text: str) -> None:
        """A line that belongs to nothing and stays; what comes later begins below it."""
        self._write((printable(text) if self._terminal else text) + "\n")
        self._order.clear()
        self._shown.clear()


def bar(current: int, total: int, width: int = 50) -> str:
    """`[====>     ]`."""
    share = min(current / total, 1.0) if total > 0 else 0.0
    filled = int(share * width)
    head = ">" if filled < width else ""
    return f"[{'=' * filled}{head}{' ' * (width - filled - len(head))}]"
