"""Rolling updates and rollbacks: slots whose task is stale get new ones, a few at a time.

Swarm's rules (swarmkit manager/orchestrator/update): `parallelism` slots at a time; each is done
`delay` after its new task ran, or died; a new task that dies before it ran for `monitor` is a
failure; more failures than `max_failure_ratio` of the slots pause the update or roll it back,
unless it is to go on; it is complete once the last new task ran for `monitor`. A new update takes
the place of one that is under way.

Swarm's updater remembers all this while it waits. Here each slot's *attempt*, the task that the
update made for it, tells how far it is, and `wake_at` stands for waiting. Slots go in order of
their number. A new task that we stopped ourselves, by a drain or a scale, is no failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from skep.kit.clock import after_ns
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.moves import replace_holder, under_way
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.scene import Scene
from skep.manager.orchestrator.slots import Slot, wanted
from skep.manager.orchestrator.stale import Staleness, what_changed
from skep.model import defaults
from skep.model.service import Service, UpdateConfig, UpdateState, UpdateStatus
from skep.model.states import TaskState
from skep.model.task import Task, state_since
from skep.store.change import Update

UNDER_WAY: frozenset[UpdateState] = frozenset({"updating", "rollback_started"})
_PAUSED: frozenset[UpdateState] = frozenset({"paused", "rollback_paused"})
_FAILED = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED})


def advance(slots: Sequence[Slot], staleness: Staleness, draft: Draft) -> list[Slot]:
    """Take the service's update one step further; the slots as they are after the step."""
    service = draft.scene.service
    state = service.update_status.state if service.update_status else None
    stale = [slot for slot in slots if _is_stale(slot, staleness)]
    if state in _PAUSED or (not stale and state not in UNDER_WAY):
        return list(slots)
    if state not in UNDER_WAY:
        service = draft.service = _begun(service, draft.scene.now)
    return _Step(service, slots, stale, draft).take()


def attempt_of(slot: Slot, service: Service) -> Task | None:
    """The task that the update which is under way made for the slot, even if it was lost since."""
    status = service.update_status
    if status is None or status.started_at is None:
        return None
    for task in slot.tasks:
        if (
            task.origin == "update"
            and task.spec_version == service.spec_version
            and task.created_at >= status.started_at
        ):
            return task
    return None


class _Step:
    """One look at an update that is under way."""

    def __init__(
        self, service: Service, slots: Sequence[Slot], stale: Sequence[Slot], draft: Draft
    ) -> None:
        self._service = service
        self._slots = slots
        self._draft = draft
        self._now = draft.scene.now
        self._settings = settings(service)
        self._monitor_ns = self._settings.monitor or 0
        attempts = {slot.key: attempt_of(slot, service) for slot in slots}
        self._attempts = {key: task for key, task in attempts.items() if task is not None}
        self._waiting = [slot for slot in stale if slot.key not in self._attempts]

    def take(self) -> list[Slot]:
        failed = [task for task in self._attempts.values() if _is_failure(task, self._monitor_ns)]
        if self._too_many(failed) and self._settings.failure_action != "continue":
            self._stop(failed[0])
            return list(self._slots)
        if not self._waiting and self._over():
            self._change(_completed(self._service, self._now))
            return list(self._slots)
        return self._go_on()

    def _too_many(self, failed: Sequence[Task]) -> bool:
        total = len(self._attempts) + len(self._waiting)
        return bool(failed) and len(failed) / total > self._settings.max_failure_ratio

    def _stop(self, failed: Task) -> None:
        if self._settings.failure_action == "rollback" and _can_roll_back(self._service):
            self._change(_rolled_back(self._service, failed))
            self._draft.others += _credentials_rolled_back(self._draft.scene)
        else:
            self._change(_paused(self._service, failed))

    def _over(self) -> bool:
        """All new tasks were watched for long enough; if not, look again then."""
        arrivals = [_arrived_at(task) for task in self._attempts.values() if not _lost(task)]
        watched = [after_ns(moment, self._monitor_ns) for moment in arrivals if moment is not None]
        pending = [moment for moment in watched if moment > self._now]
        if pending:
            self._draft.wake(max(pending))
        return not pending and len(watched) == len(arrivals)

    def _go_on(self) -> list[Slot]:
        free = self._free_places()
        next_ones = self._waiting[:free]
        chosen = {slot.key for slot in next_ones[: self._draft.room_for(len(next_ones))]}
        return [self._renewed(slot) if slot.key in chosen else slot for slot in self._slots]

    def _free_places(self) -> int | None:
        """How many more slots may be renewed now; None = all."""
        if not self._settings.parallelism:
            return None
        busy = {slot.key for slot in self._slots if under_way(slot)}
        busy |= {key for key, task in self._attempts.items() if not self._is_done(task)}
        return max(0, self._settings.parallelism - len(busy))

    def _is_done(self, attempt: Task) -> bool:
        """The new task ran, or died, and the delay after that is over; or it was lost."""
        if _lost(attempt):
            return True
        arrived_at = _arrived_at(attempt)
        if arrived_at is None:
            return False
        free_at = after_ns(arrived_at, self._settings.delay)
        if free_at > self._now and self._waiting:
            self._draft.wake(free_at)
        return free_at <= self._now

    def _renewed(self, slot: Slot) -> Slot:
        word = "rollback" if self._rolls_back else "update"
        cause = f"{word} {what_changed(self._service.spec, slot.tasks[-1])}"
        start_first = self._settings.order == "start-first"
        return replace_holder(slot, start_first, "update", cause, self._draft)

    @property
    def _rolls_back(self) -> bool:
        return _state(self._service) == "rollback_started"

    def _change(self, service: Service) -> None:
        self._service = self._draft.service = service


def settings(service: Service) -> UpdateConfig:
    """The update's settings or, while it is being rolled back, the rollback's."""
    if _state(service) in ("rollback_started", "rollback_paused"):
        return defaults.rollback_config(service.spec)
    return defaults.update_config(service.spec)


def _state(service: Service) -> UpdateState | None:
    return service.update_status.state if service.update_status else None


def _is_stale(slot: Slot, staleness: Staleness) -> bool:
    """None of the slot's holders is of the present spec; nor, where it has none, its last task."""
    if slot.holders:
        return all(map(staleness.stale, slot.holders))
    return at_rest(slot) and staleness.stale(slot.tasks[-1])


def _arrived_at(attempt: Task) -> datetime | None:
    """When the new task ran, or died without."""
    if attempt.running_since is not None:
        return attempt.running_since
    return state_since(attempt) if attempt.status.state.dead else None


def _lost(attempt: Task) -> bool:
    """The new task was given up, for another node or another update, before it ran or died."""
    return not wanted(attempt) and _arrived_at(attempt) is None


def _is_failure(attempt: Task, monitor_ns: int) -> bool:
    if attempt.status.state not in _FAILED:
        return False
    ran_since = attempt.running_since
    return ran_since is None or state_since(attempt) <= after_ns(ran_since, monitor_ns)


def _begun(service: Service, now: datetime) -> Service:
    status = UpdateStatus(state="updating", started_at=now, message="update in progress")
    return replace(service, update_status=status)


def _completed(service: Service, now: datetime) -> Service:
    if _state(service) == "rollback_started":
        return _with_status(service, "rollback_completed", "rollback completed", now)
    return _with_status(service, "completed", "update completed", now)


def _paused(service: Service, failed: Task) -> Service:
    reason = f"paused due to failure or early termination of task {failed.id}"
    if _state(service) == "rollback_started":
        return _with_status(service, "rollback_paused", f"rollback {reason}")
    return _with_status(service, "paused", f"update {reason}")


def _can_roll_back(service: Service) -> bool:
    """A rollback is never rolled back; neither is what has no spec to go back to."""
    return _state(service) != "rollback_started" and service.previous_spec is not None


def _rolled_back(service: Service, failed: Task) -> Service:
    """The previous spec is the wanted one again, under a spec version of its own, so that tasks
    which the rollback makes are told from those that were there before."""
    assert service.previous_spec is not None
    message = f"update rolled back due to failure or early termination of task {failed.id}"
    return replace(
        _with_status(service, "rollback_started", message),
        spec=service.previous_spec,
        spec_since=service.version,
        spec_version=service.version,
        previous_spec=None,
        previous_spec_version=None,
        wanted_replicas=defaults.wish_beside(service, service.previous_spec),
    )


def _credentials_rolled_back(scene: Scene) -> list[Update]:
    auth = scene.view.registry_auth(scene.service.id)
    if auth is None or auth.previous == auth.current:
        return []
    why = "the previous spec is pulled with the previous credentials"
    return [Update(replace(auth, current=auth.previous, previous=""), why)]


def _with_status(
    service: Service, state: UpdateState, message: str, completed_at: datetime | None = None
) -> Service:
    status = service.update_status or UpdateStatus()
    changed = replace(status, state=state, message=message, completed_at=completed_at)
    return replace(service, update_status=changed)
