"""Whether and when a container that ended starts again: docker's restart policies. Pure."""

from __future__ import annotations

from skep.model.container import RestartPolicy

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
LONG_RUN_S = 10.0


def wants_restart(
    policy: RestartPolicy, *, exit_code: int, restarts: int, manually_stopped: bool
) -> bool:
    """`restarts` is how often it was started again since a person last started it."""
    if manually_stopped:
        return False
    if policy.name == "on-failure":
        limit = policy.maximum_retry_count
        return exit_code != 0 and (limit == 0 or restarts < limit)
    return policy.name in {"always", "unless-stopped"}


def wants_start_at_boot(
    policy: RestartPolicy, *, exit_code: int, restarts: int, manually_stopped: bool
) -> bool:
    """Of a container that was found ended when the engine started: `always` forgets that somebody
    stopped it, `unless-stopped` does not."""
    return wants_restart(
        policy,
        exit_code=exit_code,
        restarts=restarts,
        manually_stopped=manually_stopped and policy.name != "always",
    )


def next_delay_s(last_delay_s: float, ran_s: float) -> float:
    """Twice the last delay, up to a minute; from the beginning after ten seconds of running.
    `last_delay_s` 0 is "this is the first"."""
    if ran_s >= LONG_RUN_S or not last_delay_s:
        return FIRST_DELAY_S
    return min(last_delay_s * 2, LONGEST_DELAY_S)
