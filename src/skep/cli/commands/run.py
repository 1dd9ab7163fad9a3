"""`skep run` and `skep create`."""

from __future__ import annotations

from skep.cli.commands.attach import attach_container
from skep.cli.commands.container_body import attached_streams, container_body
from skep.cli.commands.container_flags import CREATE_FLAGS, RUN_FLAGS
from skep.cli.commands.create_container import create_container
from skep.cli.errors import Failure, ask_for_help
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.streams.attached import Attachment, read_keys
from skep.cli.streams.terminal import size

NOT_RUN, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Exit codes of run: the daemon refused; the command cannot be executed; there is none."""


def start_code(reason: str) -> int:
    """The exit code for a container that did not start, from the daemon's sentence."""
    if "executable file not found" in reason or "no such file or directory" in reason:
        return NOT_FOUND
    if "permission denied" in reason or "is a directory" in reason:
        return NOT_EXECUTABLE
    return NOT_RUN


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    image, *command = arguments
    try:
        body = container_body(options, image, command)
        container_id = create_container(session, options, body)
    except (ValueError, Failure) as error:
        code = error.code if isinstance(error, Failure) else 1
        raise Failure(ask_for_help(str(error), "skep create"), code) from None
    session.say(container_id)


def _run(session: Session, options: Options, arguments: list[str]) -> int:
    image, *command = arguments
    try:
        body = container_body(options, image, command)
        streams = attached_streams(options)
        read_keys(session, options.text("detach-keys"))
    except ValueError as error:
        raise Failure(ask_for_help(str(error), "skep run"), NOT_RUN) from None
    terminal = None
    if streams:
        terminal = Attachment(
            session,
            stdin="stdin" in streams,
            stdout="stdout" in streams,
            stderr="stderr" in streams,
            tty=options.yes("tty"),
            detach_keys=options.text("detach-keys"),
        )
    if terminal and terminal.tty:
        body.setdefault("HostConfig", {})["ConsoleSize"] = list(size())
    try:
        container_id = create_container(session, options, body)
        if terminal is None:
            session.client.post(f"/containers/{container_id}/start")
            session.say(container_id)
            return 0
        return attach_container(
            session,
            container_id,
            terminal,
            condition="removed" if options.yes("rm") else "next-exit",
            forward_signals=options.yes("sig-proxy"),
            before=lambda: session.client.post(f"/containers/{container_id}/start"),
        )
    except Failure as error:
        code = start_code(str(error))
        raise Failure(ask_for_help(str(error), "skep run"), code) from None


RUN = Command("IMAGE [COMMAND] [ARG...]", _run, SOME, RUN_FLAGS, interspersed=False)
CREATE = Command("IMAGE [COMMAND] [ARG...]", _create, SOME, CREATE_FLAGS, interspersed=False)
