"""The results as a table for people: one line for each comparison."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import FIGURES, PEERS, SKEP, Figure, Goal, Results, Unit

_HEAD = ("FIGURE", "SKEP", "PEER", "ITS FIGURE", "RATIO", "GOAL", "REACHED")
_DIGITS = {"s": 2, "ms": 1, "MiB": 1, "%": 1}

Row = tuple[str, ...]


def render(results: Results) -> str:
    rows = [_HEAD, *(row for figure in FIGURES for row in _rows(figure, results))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def missed(results: Results) -> list[str]:
    """Titles of the figures of which a goal was measured and not reached."""
    return [
        figure.title
        for figure in FIGURES
        if any(_reached(figure, goal, results) is False for goal in figure.goals)
    ]


def _rows(figure: Figure, results: Results) -> Iterator[Row]:
    """First the goals, then peers that were measured and are no goal's."""
    ours = results.median(figure.key, SKEP)
    if ours is None:
        return
    title, value = figure.title, _value(ours, figure.unit)
    for goal in _comparisons(figure, results):
        theirs = results.median(figure.key, goal.peer)
        reached = _reached(figure, goal, results)
        yield (
            title,
            value,
            goal.peer,
            _value(theirs, figure.unit) if theirs is not None else "",
            f"{ours / theirs:.2f}" if theirs else "",
            _goal(goal, figure.unit) if goal.most else "",
            {True: "yes", False: "no", None: ""}[reached],
        )
        title = value = ""


def _comparisons(figure: Figure, results: Results) -> list[Goal]:
    """A goal of nothing stands for a peer, or for nobody, that there is no goal for."""
    measured = [peer for peer in PEERS if results.median(figure.key, peer) is not None]
    goals = [goal for goal in figure.goals if goal.peer in ("", *measured)]
    others = [Goal(0, peer) for peer in measured if peer not in {goal.peer for goal in goals}]
    return [*goals, *others] or [Goal(0)]


def _reached(figure: Figure, goal: Goal, results: Results) -> bool | None:
    """None when it was not measured, or there is nothing to reach."""
    ours, theirs = results.median(figure.key, SKEP), results.median(figure.key, goal.peer)
    if ours is None or not goal.most or (goal.peer and theirs is None):
        return None
    return ours <= goal.most * (theirs or 1)


def _goal(goal: Goal, unit: Unit) -> str:
    return f"at most {goal.most:.2f}" if goal.peer else f"at most {goal.most:g} {unit}"


def _value(value: float, unit: Unit) -> str:
    return f"{value:.{_DIGITS[unit]}f} {unit}"
