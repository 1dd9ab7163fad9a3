"""Health checks: the flags that containers and services have alike, and what they ask for."""

from __future__ import annotations

from typing import Any

from skep.cli.flags.flag import Options, number, switch, text, value
from skep.cli.flags.kinds import POSITIVE_DURATION
from skep.cli.values.limits import health

HEALTH_FLAGS = (
    text("--health-cmd", "Command to run to check health"),
    value("--health-interval", POSITIVE_DURATION, "Time between running the check", default=0),
    number("--health-retries", "Consecutive failures needed to report unhealthy"),
    value(
        "--health-start-interval",
        POSITIVE_DURATION,
        "Time between running the check during the start period",
        default=0,
    ),
    value(
        "--health-start-period",
        POSITIVE_DURATION,
        "Start period for the container to initialize before counting retries",
        default=0,
    ),
    value("--health-timeout", POSITIVE_DURATION, "Maximum time for one check to run", default=0),
    switch("--no-healthcheck", "Disable any container-specified HEALTHCHECK"),
)


def health_check(options: Options) -> dict[str, Any] | None:
    """A Healthcheck of the flags that were given; None when none was. Raises ValueError."""
    check = health(
        command=options.text("health-cmd"),
        interval_ns=options.number("health-interval"),
        timeout_ns=options.number("health-timeout"),
        start_period_ns=options.number("health-start-period"),
        start_interval_ns=options.number("health-start-interval"),
        retries=options.number("health-retries"),
    )
    if not options.yes("no-healthcheck"):
        return check
    if check:
        raise ValueError("--no-healthcheck conflicts with --health-* options")
    return {"Test": ["NONE"]}
