"""`skep exec`."""

from __future__ import annotations

import os
from typing import Any

from skep.cli.errors import Failure, SilentExit
from skep.cli.flags.command import Arity, Command
from skep.cli.flags.flag import Options, switch, text, texts
from skep.cli.session import Session
from skep.cli.streams.attached import Attachment, read_keys
from skep.cli.values.pairs import check_variable, environment, key_value_files


def exec_body(options: Options, command: list[str]) -> dict[str, Any]:
    """The body of POST /containers/{id}/exec."""
    detached = options.yes("detach")
    variables = [*key_value_files(options.items("env-file")), *options.items("env")]
    return {
        "AttachStdin": options.yes("interactive") and not detached,
        "AttachStdout": not detached,
        "AttachStderr": not detached,
        "Cmd": command,
        "Env": environment(variables, os.environ),
        "Privileged": options.yes("privileged"),
        "Tty": options.yes("tty"),
        "User": options.text("user"),
        "WorkingDir": options.text("workdir"),
    }


def _exec(session: Session, options: Options, arguments: list[str]) -> None:
    name, *command = arguments
    client = session.client
    try:
        body = exec_body(options, command)
    except ValueError as error:
        raise Failure(str(error)) from None
    read_keys(session, options.text("detach-keys"))
    terminal = None
    if not options.yes("detach"):
        terminal = Attachment(
            session,
            stdin=body["AttachStdin"],
            stdout=True,
            stderr=True,
            tty=body["Tty"],
            detach_keys=options.text("detach-keys"),
        )
    path = f"/exec/{client.post(f'/containers/{name}/exec', body)['Id']}"
    if terminal is None:
        client.post(f"{path}/start", {"Detach": True, "Tty": body["Tty"]})
        return
    started = client.hijack(f"{path}/start", body={"Detach": False, "Tty": body["Tty"]})
    detached = terminal.run(
        started.wire,
        resize=lambda h, w: client.post(f"{path}/resize", query={"h": h, "w": w}),
        forward=None,
    )
    if not detached:
        raise SilentExit(int(client.get(f"{path}/json").get("ExitCode") or 0))


EXEC = Command(
    "CONTAINER COMMAND [ARG...]",
    _exec,
    Arity(2, None),
    (
        switch("-d --detach", "Detached mode: run command in the background"),
        text("--detach-keys", "Override the key sequence for detaching a container"),
        texts("-e --env", "Set environment variables", check_variable),
        texts("--env-file", "Read in a file of environment variables"),
        switch("-i --interactive", "Keep STDIN open even if not attached"),
        switch("--privileged", "Give extended privileges to the command"),
        switch("-t --tty", "Allocate a pseudo-TTY"),
        text("-u --user", 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
        text("-w --workdir", "Working directory inside the container"),
    ),
    interspersed=False,
)
