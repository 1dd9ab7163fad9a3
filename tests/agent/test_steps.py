"""What an agent does next: the whole table."""

from __future__ import annotations

import pytest

from skep.agent.step import Step, next_step
from skep.model.states import TaskState as S


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (S.ASSIGNED, Step.ACCEPT),
        (S.ACCEPTED, Step.PREPARE),
        (S.PREPARING, Step.CREATE),
        (S.READY, Step.BEGIN),
        (S.STARTING, Step.START),
        (S.RUNNING, Step.WATCH),
        (S.COMPLETE, Step.REST),
        (S.FAILED, Step.REST),
        (S.REJECTED, Step.REST),
        (S.SHUTDOWN, Step.REST),
    ],
)
def test_a_task_that_is_wanted_running_goes_forward(state: S, step: Step) -> None:
    assert next_step(S.RUNNING, state) == step


def test_a_task_that_is_held_back_stops_at_ready() -> None:
    assert next_step(S.READY, S.PREPARING) == Step.CREATE
    assert next_step(S.READY, S.READY) == Step.HOLD


@pytest.mark.parametrize("desired", [S.SHUTDOWN, S.REMOVE])
@pytest.mark.parametrize(
    ("state", "step"),
    [
        (S.ASSIGNED, Step.DISMISS),
        (S.ACCEPTED, Step.DISMISS),
        (S.PREPARING, Step.STOP),
        (S.READY, Step.STOP),
        (S.STARTING, Step.STOP),
        (S.RUNNING, Step.STOP),
        (S.FAILED, Step.REST),
    ],
)
def test_a_task_that_is_wanted_no_more_stops(desired: S, state: S, step: Step) -> None:
    assert next_step(desired, state) == step
