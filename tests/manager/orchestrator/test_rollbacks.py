"""Rollbacks: an update that fails, or that people regret, is undone by an update."""

from __future__ import annotations

from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.orchestrator import Orchestrator
from skep.model.base import Version
from skep.model.service import RegistryAuth, Service, UpdateConfig, UpdateStatus
from skep.model.states import TaskState
from skep.store.change import Update
from skep.testing.builders import at, ids, node, seconds, service, task, view
from skep.testing.transcript import look

SHUTDOWN, FAILED = TaskState.SHUTDOWN, TaskState.FAILED
SETTINGS = UpdateConfig(parallelism=1, failure_action="rollback")
BEFORE = service(1, update=SETTINGS)
AFTER = replace(
    service(1, image="app:2", version=7, previous=BEFORE, update=SETTINGS),
    update_status=UpdateStatus(state="updating", started_at=at(50), message="update in progress"),
)
STOPPED = task("a", BEFORE, state=SHUTDOWN, desired=SHUTDOWN)
BROKEN = task("b", AFTER, state=FAILED, desired=SHUTDOWN, born=60, since=61, origin="update")
RETRIED = task("c", AFTER, on="", state=TaskState.NEW, born=62, origin="restart")


def rolled_back(**changes: object) -> Service:
    """The service while the rollback is under way, since second 50."""
    status = UpdateStatus(state="rollback_started", started_at=at(50))
    return replace(BEFORE, spec_version=Version(8), update_status=status, **changes)


def test_a_failure_swaps_the_specs() -> None:
    """The rollback has a spec version of its own, and there is nothing further to go back to."""
    plan = Orchestrator().plan(
        view(AFTER, node(), STOPPED, BROKEN, RETRIED),
        NOTHING_SEEN,
        frozenset({"web"}),
        at(70),
        ids(),
    )
    message = "update rolled back due to failure or early termination of task b"
    status = UpdateStatus(state="rollback_started", started_at=at(50), message=message)
    wanted = replace(
        AFTER,
        spec=BEFORE.spec,
        spec_since=AFTER.version,
        spec_version=Version(7),
        previous_spec=None,
        previous_spec_version=None,
        update_status=status,
    )
    assert plan.changes == (Update(wanted, why=message),)


def test_the_previous_credentials_come_back_with_the_spec() -> None:
    auth = RegistryAuth(id="web", version=Version(1), current="new", previous="old")
    plan = Orchestrator().plan(
        view(AFTER, node(), STOPPED, BROKEN, RETRIED, auth),
        NOTHING_SEEN,
        frozenset({"web"}),
        at(70),
        ids(),
    )
    assert plan.changes[1:] == (
        Update(
            replace(auth, current="old", previous=""),
            why="the previous spec is pulled with the previous credentials",
        ),
    )


def test_a_rollback_renews_what_the_update_made() -> None:
    assert look(Orchestrator(), view(rolled_back(), node(), STOPPED, BROKEN, RETRIED)) == [
        "c to shutdown: rollback to image app:1",
        "new new1 in slot 1: replaces task c: rollback to image app:1",
    ]


def test_a_task_that_the_update_had_not_stopped_yet_stays() -> None:
    """Start-first: the old task still runs beside the broken new one, which goes."""
    old = task("a", BEFORE)
    new = task("b", AFTER, born=60, state=TaskState.STARTING, origin="update")
    assert look(Orchestrator(), view(rolled_back(), node(), old, new)) == [
        "web rollback_completed: rollback completed",
        "b to shutdown: task a runs in its place",
    ]


def test_a_rollback_follows_its_own_settings() -> None:
    settings = UpdateConfig(parallelism=2, order="start-first", monitor=seconds(1))
    web = service(3, update=SETTINGS, rollback=settings)
    status = UpdateStatus(state="rollback_started", started_at=at(50))
    tasks = [task(f"t{slot}", AFTER, slot) for slot in (1, 2, 3)]
    web = replace(web, spec_version=Version(8), update_status=status)
    assert look(Orchestrator(), view(web, node(), tasks)) == [
        "new new1 in slot 1: replaces task t1: rollback to image app:1",
        "new new2 in slot 2: replaces task t2: rollback to image app:1",
    ]


def test_a_rollback_that_fails_is_paused() -> None:
    broken = task("d", rolled_back(), state=FAILED, desired=SHUTDOWN, born=60, since=61,
                  origin="update")  # fmt: skip
    retried = task("e", rolled_back(), born=62, origin="restart")
    assert look(Orchestrator(), view(rolled_back(), node(), broken, retried)) == [
        "web rollback_paused: rollback paused due to failure or early termination of task d"
    ]


def test_a_manual_rollback_to_what_still_runs_is_complete_at_once() -> None:
    """Control exchanged the specs and said that the rollback began."""
    assert look(Orchestrator(), view(rolled_back(), node(), task("a", BEFORE))) == [
        "web rollback_completed: rollback completed"
    ]


def test_without_a_previous_spec_the_update_is_paused() -> None:
    web = replace(AFTER, previous_spec=None, previous_spec_version=None)
    assert look(Orchestrator(), view(web, node(), STOPPED, BROKEN, RETRIED)) == [
        "web paused: update paused due to failure or early termination of task b"
    ]
