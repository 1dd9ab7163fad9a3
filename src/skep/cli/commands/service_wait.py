"""Waiting for a service to converge, and showing it."""

from __future__ import annotations

import time

from skep.cli.client.client import Client
from skep.cli.errors import Failure
from skep.cli.progress import POLL_S, STAGES, Line, Look, Progress, advance
from skep.cli.session import Session
from skep.cli.show.live import LiveLines, bar


def wait_on_service(session: Session, service: str, *, quiet: bool = False) -> None:
    """Returns when all tasks run and have stayed so; raises Failure when the update stops short.

    Ctrl-C leaves the service to itself: what was asked for goes on.
    """
    terminal = session.out_is_terminal
    lines = LiveLines(lambda text: None if quiet else session.draw(text), terminal=terminal)
    progress = Progress()
    try:
        while True:
            step = advance(progress, _look(session.client, service))
            for line in step.lines:
                _show(lines, line, terminal=terminal)
            if step.failure:
                raise Failure(step.failure)
            if step.done:
                return
            progress = step.progress
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        session.say(
            "Operation continuing in background.\n"
            f"Use `skep service ps {service}` to check progress."
        )


def _show(lines: LiveLines, line: Line, *, terminal: bool) -> None:
    if not line.name:
        lines.say(line.text)
    elif not line.stage:
        lines.set(line.name, line.text)
    elif terminal:
        # A log wants no bars: what moves there is told by the line that counts them.
        lines.set(line.name, f"{line.text} {bar(line.stage, len(STAGES))}")


def _look(client: Client, name: str) -> Look:
    service = client.get(f"/services/{name}")
    filters = {"service": [service["ID"]], "_up-to-date": ["true"]}
    tasks = client.get("/tasks", {"filters": filters})
    nodes = client.get("/nodes")
    alive = frozenset(node["ID"] for node in nodes if node["Status"]["State"] != "down")
    return Look(name, service, tasks, alive, time.monotonic())
