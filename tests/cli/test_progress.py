"""How a service converges, told in lines: each test is looks in, lines out."""

from __future__ import annotations

from typing import Any

from skep.cli.progress import Line, Look, Progress, Step, advance

REPLICATED = {"Replicated": {"Replicas": 2}}


def service(mode: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"ID": "s1", "Spec": {"Mode": mode or REPLICATED}, **more}


def task(slot: int, state: str, desired: str = "running", **more: Any) -> dict[str, Any]:
    status = {"State": state, "Err": more.pop("error", "")}
    return {"Slot": slot, "NodeID": "n1", "DesiredState": desired, "Status": status, **more}


def look(*tasks: dict[str, Any], now_s: float = 0.0, of: dict[str, Any] | None = None) -> Look:
    return Look("web", of or service(), tasks, frozenset(("n1", "n2")), now_s)


def overall(text: str) -> Line:
    return Line("overall progress", text)


def test_tasks_are_counted_and_shown_on_their_way() -> None:
    step = advance(Progress(), look(task(1, "running"), task(2, "preparing")))
    assert step.lines == (
        overall("1 out of 2 tasks"),
        Line("1/2", "running  ", 9),
        Line("2/2", "preparing", 6),
    )
    assert not step.done


def test_all_running_is_watched_for_the_monitor_time_and_then_good() -> None:
    running = (task(1, "running"), task(2, "running"))
    first = advance(Progress(), look(*running))
    assert first.lines[0] == overall("2 out of 2 tasks")
    assert first.lines[-1] == Line("verify", "Waiting 5 seconds to verify that tasks are stable...")
    later = advance(first.progress, look(*running, now_s=4.0))
    assert later.lines[-1].text == "Waiting 1 seconds to verify that tasks are stable..."
    last = advance(later.progress, look(*running, now_s=5.0))
    assert (last.lines, last.done) == ((Line("verify", "Service web converged"),), True)


def test_a_task_that_falls_while_watched_starts_the_watch_again() -> None:
    first = advance(Progress(), look(task(1, "running"), task(2, "running")))
    step = advance(first.progress, look(task(1, "running"), task(2, "failed"), now_s=1.0))
    assert step.lines[-1] == Line("verify", "Detected task failure")
    assert step.progress.converged_at_s is None


def test_the_monitor_time_is_the_services_own() -> None:
    quick = service(UpdateStatus={})
    quick["Spec"]["UpdateConfig"] = {"Monitor": 10**9}
    running = (task(1, "running"), task(2, "running"))
    first = advance(Progress(), look(*running, of=quick))
    assert advance(first.progress, look(*running, of=quick, now_s=1.0)).done


def test_the_newest_task_of_a_slot_counts() -> None:
    step = advance(
        Progress(),
        look(task(1, "running", "shutdown"), task(1, "starting"), task(2, "running")),
    )
    assert step.lines[0] == overall("1 out of 2 tasks")


def test_a_task_on_a_node_that_is_down_does_not_count() -> None:
    step = advance(Progress(), look({**task(1, "running"), "NodeID": "gone"}, task(2, "running")))
    assert step.lines == (overall("1 out of 2 tasks"), Line("1/2", "running  ", 9))


def test_why_a_task_does_not_run_is_said_in_one_line() -> None:
    step = advance(Progress(), look(task(1, "pending", error="no suitable\nnode " + "x" * 80)))
    assert step.lines[1] == Line("1/2", "no suitable node " + "x" * 57 + "…")


def test_more_than_twenty_tasks_get_no_lines_of_their_own() -> None:
    many = service({"Replicated": {"Replicas": 21}})
    step = advance(Progress(), look(*(task(n, "ready") for n in range(1, 22)), of=many))
    assert step.lines == (overall("0 out of 21 tasks"),)


def test_slots_keep_the_line_they_were_first_shown_on() -> None:
    first = advance(Progress(), look(task(7, "ready")))
    second = advance(first.progress, look(task(2, "ready"), task(7, "ready")))
    assert [line.name for line in second.lines[1:]] == ["2/2", "1/2"]


def test_a_global_service_waits_for_its_tasks_and_names_the_nodes() -> None:
    everywhere = service({"Global": {}})
    nothing = advance(Progress(), look(of=everywhere))
    assert nothing.lines == (overall("waiting for new tasks"),)
    step = advance(
        nothing.progress,
        look(task(0, "running"), {**task(0, "ready"), "NodeID": "n2"}, of=everywhere),
    )
    assert step.lines == (
        overall("1 out of 2 tasks"),
        Line("n1", "running  ", 9),
        Line("n2", "ready    ", 7),
    )


def test_a_job_is_done_when_all_have_completed() -> None:
    job = service({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}})
    half = advance(
        Progress(), look(task(0, "complete", "complete"), task(1, "running", "complete"), of=job)
    )
    assert half.lines == (
        Line("job progress", "1 out of 2 complete"),
        Line("active tasks", "1 out of 1 tasks"),
        Line("2/2", "running  ", 9),
    )
    done = (task(0, "complete", "complete"), task(1, "complete", "complete"))
    step = advance(half.progress, look(*done, of=job))
    assert (step.lines[-1], step.done) == (Line("", "job complete"), True)


def test_a_job_of_an_older_iteration_does_not_count() -> None:
    job = service(
        {"ReplicatedJob": {"TotalCompletions": 1}}, JobStatus={"JobIteration": {"Index": 2}}
    )
    old = {**task(0, "complete", "complete"), "JobIteration": {"Index": 1}}
    assert not advance(Progress(), look(old, of=job)).done


def update(state: str, message: str = "") -> dict[str, Any]:
    return service(UpdateStatus={"State": state, "Message": message})


def test_a_paused_update_is_a_failure_with_its_reason() -> None:
    step = advance(Progress(), look(of=update("paused", "task x failed")))
    assert (step.done, step.failure) == (True, "service update paused: task x failed")
    step = advance(Progress(), look(of=update("rollback_paused", "it too")))
    assert step.failure == "service rollback paused: it too"


def test_an_update_that_ended_before_the_first_look_is_well() -> None:
    assert advance(Progress(), look(of=update("completed"))) == Step(Progress(), done=True)


def test_a_rollback_is_announced_counted_as_such_and_said_at_the_end() -> None:
    started = advance(
        Progress(), look(task(1, "running"), of=update("rollback_started", "update failed"))
    )
    assert started.lines[:2] == (
        Line("rollback", "update failed"),
        overall("rolling back update: 1 out of 2 tasks"),
    )
    running = (task(1, "running"), task(2, "running"))
    ended = update("rollback_completed", "rollback completed")
    watched = advance(started.progress, look(*running, of=ended))
    last = advance(watched.progress, look(*running, of=ended, now_s=9.0))
    assert last.lines == (
        Line("verify", "Service web converged"),
        Line("rollback", "rollback completed"),
    )
