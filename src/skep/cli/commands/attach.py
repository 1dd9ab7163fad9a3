"""`skep attach`, and what start and run share with it: this terminal on a container's streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skep.cli.client.wire import Response
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import ONE, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.session import Session
from skep.cli.streams.attached import Attachment

WAIT_FAILED = 125


def attach_container(
    session: Session,
    container_id: str,
    terminal: Attachment,
    *,
    condition: str,
    forward_signals: bool,
    before: Callable[[], Any] | None = None,
) -> int:
    """Connect to a container and stay until it ends (its exit code) or the person leaves (0).

    `condition` is what POST /containers/{id}/wait waits for; it is asked before `before` starts
    the container, so that no end is missed.
    """
    client = session.client
    path = f"/containers/{container_id}"
    attached = client.hijack(f"{path}/attach", {"stream": True, **terminal.streams})
    waiting = client.stream("POST", f"{path}/wait", {"condition": condition or None})

    def forward(name: str) -> None:
        try:
            client.post(f"{path}/kill", query={"signal": name})
        except ApiFailure:
            pass  # It ended between the signal and now.

    detached = terminal.run(
        attached.wire,
        resize=lambda h, w: client.post(f"{path}/resize", query={"h": h, "w": w}),
        forward=forward if forward_signals else None,
        before=before,
    )
    return 0 if detached else exit_status(waiting)


def exit_status(waiting: Response) -> int:
    """The exit code that POST /containers/{id}/wait answers, once it does."""
    answer = json.loads(waiting.read())
    error = (answer.get("Error") or {}).get("Message")
    if error:
        raise Failure(f"Error waiting for container: {error}", WAIT_FAILED)
    return int(answer["StatusCode"])


def _attach(session: Session, options: Options, arguments: list[str]) -> int:
    container = session.client.get(f"/containers/{arguments[0]}/json")
    check_attachable(container["State"])
    config = container["Config"]
    terminal = Attachment(
        session,
        stdin=bool(config.get("OpenStdin")) and not options.yes("no-stdin"),
        stdout=True,
        stderr=True,
        tty=bool(config.get("Tty")),
        detach_keys=options.text("detach-keys"),
    )
    return attach_container(
        session,
        container["Id"],
        terminal,
        condition="",
        forward_signals=options.yes("sig-proxy"),
    )


def check_attachable(state: dict[str, Any]) -> None:
    if not state.get("Running"):
        raise Failure("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise Failure("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise Failure("You cannot attach to a restarting container, wait until it is running")


ATTACH = Command(
    "CONTAINER",
    _attach,
    ONE,
    (
        text("--detach-keys", "Override the key sequence for detaching a container"),
        switch("--no-stdin", "Do not attach STDIN"),
        switch("--sig-proxy", "Proxy all received signals to the process", default=True),
    ),
)
