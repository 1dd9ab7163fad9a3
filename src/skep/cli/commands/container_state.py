"""Commands that do one thing to each of some containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, TWO, Command
from skep.cli.flags.flag import Options, switch, text, value
from skep.cli.flags.kinds import INT
from skep.cli.session import Session


def post_each(
    session: Session,
    names: list[str],
    verb: str,
    query: dict[str, Any] | None = None,
) -> int:
    """POST /containers/{name}/{verb} for every name; say each that it was done to."""

    def one(name: str) -> str:
        session.client.post(f"/containers/{name}/{verb}", query=query)
        return name

    return session.each(names, one)


def _stopping(verb: str) -> Callable[[Session, Options, list[str]], int]:
    def run(session: Session, options: Options, names: list[str]) -> int:
        timeout = options.number("timeout") if options.given("timeout") else None
        query = {"t": timeout, "signal": options.text("signal") or None}
        return post_each(session, names, verb, query)

    return run


def _kill(session: Session, options: Options, names: list[str]) -> int:
    return post_each(session, names, "kill", {"signal": options.text("signal") or None})


def _pause(session: Session, _: Options, names: list[str]) -> int:
    return post_each(session, names, "pause")


def _unpause(session: Session, _: Options, names: list[str]) -> int:
    return post_each(session, names, "unpause")


def _rm(session: Session, options: Options, names: list[str]) -> int:
    query = {
        "force": options.yes("force") or None,
        "link": options.yes("link") or None,
        "v": options.yes("volumes") or None,
    }

    def one(name: str) -> str:
        wanted = name.strip("/")
        if not wanted:
            raise Failure("Container name cannot be empty")
        session.client.delete(f"/containers/{wanted}", query)
        return name

    return session.each(names, one)


def _rename(session: Session, _: Options, arguments: list[str]) -> None:
    old, new = (name.strip() for name in arguments)
    if not old or not new:
        raise Failure("Error: Neither old nor new names may be empty")
    session.client.post(f"/containers/{old}/rename", query={"name": new})


def _wait(session: Session, _: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        answer = session.client.post(f"/containers/{name}/wait")
        error = (answer.get("Error") or {}).get("Message")
        if error:
            raise Failure(error)
        return str(answer["StatusCode"])

    return session.each(names, one)


_NAMES = "CONTAINER [CONTAINER...]"
_SIGNAL = text("-s --signal", "Signal to send to the container")
_TIMEOUT = value("-t --timeout", INT, "Seconds to wait before killing the container", default=0)

STOP = Command(_NAMES, _stopping("stop"), SOME, (_SIGNAL, _TIMEOUT))
RESTART = Command(_NAMES, _stopping("restart"), SOME, (_SIGNAL, _TIMEOUT))
KILL = Command(_NAMES, _kill, SOME, (_SIGNAL,))
PAUSE = Command(_NAMES, _pause, SOME)
UNPAUSE = Command(_NAMES, _unpause, SOME)
RM = Command(
    _NAMES,
    _rm,
    SOME,
    (
        switch("-f --force", "Force the removal of a running container (uses SIGKILL)"),
        switch("-l --link", "Remove the specified link"),
        switch("-v --volumes", "Remove anonymous volumes associated with the container"),
    ),
)
RENAME = Command("CONTAINER NEW_NAME", _rename, TWO)
WAIT = Command(_NAMES, _wait, SOME)
