"""What docker's lists say of a container, in words for people. Pure."""

from __future__ import annotations

from datetime import datetime

from skep.engine.containers.container import Container
from skep.kit.clock import ZERO_TIME

_HOURS_A_DAY = 24


def status_words(container: Container, now: datetime) -> str:
    """ "Up 3 seconds (healthy)", "Exited (0) 2 minutes ago", "Created"."""
    record = container.record
    state = container.state
    if state in {"running", "paused"}:
        note = " (Paused)" if state == "paused" else health_words(container)
        return f"Up {human_duration((now - record.started_at).total_seconds())}{note}"
    if state == "removing":
        return "Removal In Progress"
    if state == "dead":
        return "Dead"
    if record.finished_at == ZERO_TIME:
        return "Created"
    ago = human_duration((now - record.finished_at).total_seconds())
    word = "Restarting" if state == "restarting" else "Exited"
    return f"{word} ({record.exit_code}) {ago} ago"


def health_words(container: Container) -> str:
    health = container.health
    if health is None or health.status == "none":
        return ""
    return f" ({'health: starting' if health.status == 'starting' else health.status})"


def human_duration(seconds: float) -> str:
    """Docker's rounding: "Less than a second", "About a minute", "3 weeks"."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // _HOURS_A_DAY
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"
