"""`skep logs`."""

from __future__ import annotations

from skep.cli.commands.moment_flags import WHEN, moment
from skep.cli.flags.command import ONE, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.session import Session
from skep.cli.streams.stdcopy import STDERR, SYSTEM_ERROR, frames


def _logs(session: Session, options: Options, arguments: list[str]) -> None:
    container = session.client.get(f"/containers/{arguments[0]}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "since": moment(session, options, "since"),
        "until": moment(session, options, "until"),
        "timestamps": options.yes("timestamps") or None,
        "details": options.yes("details") or None,
        "follow": options.yes("follow") or None,
        "tail": options.text("tail"),
    }
    response = session.client.stream("GET", f"/containers/{container['Id']}/logs", query)
    if container["Config"].get("Tty"):
        for piece in response.chunks():
            session.out.write(piece)
            session.out.flush()
        return
    for stream, payload in frames(response.chunks()):
        target = session.err if stream in (STDERR, SYSTEM_ERROR) else session.out
        target.write(payload)
        target.flush()


LOGS = Command(
    "CONTAINER",
    _logs,
    ONE,
    (
        switch("--details", "Show extra details provided to logs"),
        switch("-f --follow", "Follow log output"),
        text("--since", f"Show logs since timestamp {WHEN}"),
        text("-n --tail", "Number of lines to show from the end of the logs", default="all"),
        switch("-t --timestamps", "Show timestamps"),
        text("--until", f"Show logs before a timestamp {WHEN}"),
    ),
)
