"""`inspect --pretty`: an object as indented lines, empty parts left out."""

from __future__ import annotations

from collections.abc import Iterable

_TAB = 8


class Lines:
    """Lines of `label: value`, values in one column as docker's tabs put them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, label: str, value: object, *, indent: int = 0, column: int = 16) -> None:
        """`label:` and the value at `column`, by tabs where a tab stop is there, as docker's."""
        head = f"{' ' * indent}{label}:"
        gap = max(column - len(head), 1)
        blank = "\t" * -(-gap // _TAB) if column % _TAB == 0 else " " * gap
        self._lines.append(f"{head}{blank}{value}")

    def add_padded(self, label: str, value: object, *, indent: int = 0) -> None:
        """As `add` with the value at column 24, reached by blanks and one tab: docker has both."""
        head = f"{' ' * indent}{label}:"
        self._lines.append(f"{head:<23}\t{value}")

    def title(self, label: str, *, indent: int = 0) -> None:
        self._lines.append(f"{' ' * indent}{label}:")

    def plain(self, lines: Iterable[str]) -> None:
        self._lines += lines

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
