"""Cells in columns, laid out as docker's (Go's tabwriter: at least 10 wide, 3 blanks between)."""

from __future__ import annotations

_LEAST_WIDTH = 10
_PADDING = 3


def align(lines: list[str], least: int = _LEAST_WIDTH, padding: int = _PADDING) -> str:
    """Lines of tab-separated cells, each column as wide as its widest cell.

    The last cell of a line ends it and is not padded.
    """
    rows = [line.split("\t") for line in lines]
    widths: list[int] = []
    for row in rows:
        for position, cell in enumerate(row[:-1]):
            width = max(least, len(cell) + padding)
            if position == len(widths):
                widths.append(width)
            widths[position] = max(widths[position], width)
    return "".join(
        "".join(cell.ljust(widths[at]) for at, cell in enumerate(row[:-1])) + row[-1] + "\n"
        for row in rows
    )
