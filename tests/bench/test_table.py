"""What the benchmark's table says of figures and goals."""

from __future__ import annotations

import pytest

from bench.figures import BARE, DOCKERD, SKEP, Results
from bench.table import missed, render


def results(*samples: tuple[str, str, float]) -> Results:
    found = Results()
    for key, who, value in samples:
        found.add(key, who, value)
    return found


def lines(found: Results) -> list[list[str]]:
    """The table's cells below its heading."""
    return [line.split("   ") for line in _squeezed(render(found)).splitlines()[1:]]


def _squeezed(text: str) -> str:
    while "    " in text:
        text = text.replace("    ", "   ")
    return text


def test_a_figure_has_a_line_for_each_goal_whose_peer_was_measured() -> None:
    found = results(("up", SKEP, 1.5), ("up", DOCKERD, 16.0), ("up", BARE, 0.5))
    assert lines(found) == [
        ["1 to 50 replicas, all running", "1.50 s", "dockerd", "16.00 s", "0.09",
         "at most 0.10", "yes"],
        ["", "bare loop", "0.50 s", "3.00", "at most 2.00", "no"],
    ]  # fmt: skip


def test_without_the_peer_there_is_no_ratio_and_nothing_is_missed() -> None:
    found = results(("killed", SKEP, 9.0))
    assert lines(found) == [["killed container running again", "9.00 s"]]
    assert missed(found) == []


def test_a_goal_without_a_peer_is_in_the_figure_s_own_unit() -> None:
    found = results(("idle", SKEP, 61.0), ("idle", DOCKERD, 122.0))
    assert lines(found) == [
        ["memory idle (PSS)", "61.0 MiB", "at most 60 MiB", "no"],
        ["", "dockerd", "122.0 MiB", "0.50"],
    ]
    assert missed(found) == ["memory idle (PSS)"]


@pytest.mark.parametrize(
    ("samples", "median"), [((3.0, 1.0, 2.0), 2.0), ((4.0, 1.0), 2.5), ((), None)]
)
def test_a_figure_is_the_median_of_its_samples(
    samples: tuple[float, ...], median: float | None
) -> None:
    found = results(*(("up", SKEP, value) for value in samples))
    assert found.median("up", SKEP) == median
