"""`skep start`."""

from __future__ import annotations

from skep.cli.commands.attach import attach_container
from skep.cli.commands.container_state import post_each
from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.session import Session
from skep.cli.streams.attached import Attachment


def _start(session: Session, options: Options, names: list[str]) -> int:
    if not (options.yes("attach") or options.yes("interactive")):
        return post_each(session, names, "start")
    if len(names) > 1:
        raise Failure("you cannot start and attach multiple containers at once")
    container = session.client.get(f"/containers/{names[0]}/json")
    config, host = container["Config"], container.get("HostConfig") or {}
    terminal = Attachment(
        session,
        stdin=options.yes("interactive") and bool(config.get("OpenStdin")),
        stdout=True,
        stderr=True,
        tty=bool(config.get("Tty")),
        detach_keys=options.text("detach-keys"),
    )
    return attach_container(
        session,
        container["Id"],
        terminal,
        condition="removed" if host.get("AutoRemove") else "next-exit",
        forward_signals=options.yes("attach"),
        before=lambda: session.client.post(f"/containers/{container['Id']}/start"),
    )


START = Command(
    "CONTAINER [CONTAINER...]",
    _start,
    SOME,
    (
        switch("-a --attach", "Attach STDOUT/STDERR and forward signals"),
        text("--detach-keys", "Override the key sequence for detaching a container"),
        switch("-i --interactive", "Attach container's STDIN"),
    ),
)
