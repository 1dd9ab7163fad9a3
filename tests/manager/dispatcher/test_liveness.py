"""Who is lost, and who only seems to be."""

from __future__ import annotations

from itertools import pairwise

import pytest

from skep.kit.clock import NS_PER_S
from skep.manager.dispatcher.liveness import (
    Heartbeats,
    WakingClock,
    grace_s,
    heartbeat_s,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(heartbeats: Heartbeats, clock: Clock, seconds: float) -> list[str]:
    """Time passes, and the lost are asked for four times a second; those at the end."""
    lost: list[str] = []
    for _ in range(round(seconds * 4)):
        clock.now += 0.25
        lost = heartbeats.lost()
    return lost


@pytest.mark.parametrize("nodes", [1, 3, 100, 1000])
def test_a_loss_is_noticed_within_3_s_in_clusters_up_to_1000_nodes(nodes: int) -> None:
    assert grace_s(heartbeat_s(nodes, 0), 0) + 0.25 <= 3.0


def test_heartbeats_stretch_so_that_they_cost_a_twentieth_of_a_core() -> None:
    beats_a_second = [nodes / heartbeat_s(nodes, 0) for nodes in (1000, 5000, 50_000)]
    assert all(beats <= 0.05 / 60e-6 * 1.001 for beats in beats_a_second)
    periods = [heartbeat_s(nodes, 0) for nodes in (1, 500, 1000, 5000)]
    assert all(one <= other for one, other in pairwise(periods))


def test_a_beat_may_be_late_by_a_whole_period_or_by_six_seconds() -> None:
    for nodes in (1, 800, 1000, 5000, 20_000):
        period_s = heartbeat_s(nodes, 0)
        assert grace_s(period_s, 0) >= period_s + min(period_s, 6.0)


def test_a_loss_among_5000_nodes_is_noticed_about_as_soon_as_in_swarm() -> None:
    assert heartbeat_s(5000, 0) == pytest.approx(10.12)
    assert grace_s(heartbeat_s(5000, 0), 0) == pytest.approx(16.12)


def test_a_configured_period_wins_and_three_beats_are_a_loss() -> None:
    assert heartbeat_s(5000, 5 * NS_PER_S) == 5.0
    assert grace_s(5.0, 5 * NS_PER_S) == 15.0


def test_who_is_silent_for_longer_than_it_may_be_is_lost() -> None:
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.heard("n1", 2.7)
    heartbeats.heard("n2", 10.0)
    assert run(heartbeats, clock, 2.5) == []
    assert run(heartbeats, clock, 0.5) == ["n1"]
    heartbeats.heard("n1", 2.7)
    assert run(heartbeats, clock, 1.0) == []
    heartbeats.forget("n1")
    assert run(heartbeats, clock, 20.0) == ["n2"]


def test_to_be_expected_is_not_to_be_heard() -> None:
    """A node that was heard before we began to expect it keeps its time."""
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.heard("n1", 10.0)
    heartbeats.expect("n1", 1.0)
    heartbeats.expect("n2", 1.0)
    assert run(heartbeats, clock, 2.0) == ["n2"]
    assert len(heartbeats) == 2


def test_while_nodes_return_the_others_that_were_not_heard_yet_are_waited_for() -> None:
    """Thousands need longer than the first of them: whose turn has not come yet is not lost."""
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.heard("gone", 2.7)
    for number in range(9):
        heartbeats.expect(f"n{number}", 5.0)
    for number in range(8):
        assert run(heartbeats, clock, 4.0) == ["gone"]
        heartbeats.heard(f"n{number}", 100.0)
    assert run(heartbeats, clock, 4.0) == ["gone"]
    assert run(heartbeats, clock, 2.0) == ["gone", "n8"]


def test_nobody_is_waited_for_without_end() -> None:
    clock = Clock()
    heartbeats = Heartbeats(clock)
    for number in range(200):
        heartbeats.expect(f"n{number}", 5.0)
    lost: list[str] = []
    while not lost:
        heartbeats.heard(f"n{len(heartbeats) - 1}", 1000.0)
        heartbeats.forget(f"n{len(heartbeats) - 1}")
        lost = run(heartbeats, clock, 4.0)
    assert 1300.0 < clock.now < 1310.0


def test_our_own_sleep_is_not_the_silence_of_others() -> None:
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.heard("n1", 2.7)
    run(heartbeats, clock, 1.0)
    clock.now += 3600.0
    assert heartbeats.lost() == []
    assert run(heartbeats, clock, 1.0) == []
    assert run(heartbeats, clock, 1.0) == ["n1"]


def test_a_waking_clock_counts_short_steps_whole() -> None:
    clock = Clock()
    waking = WakingClock(clock)
    for _ in range(8):
        clock.now += 0.25
        waking.now()
    assert waking.now() == pytest.approx(2.0)
    clock.now += 60.0
    assert waking.now() == pytest.approx(2.5)
