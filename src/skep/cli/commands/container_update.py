"""`skep update`."""

from __future__ import annotations

from skep.cli.commands.container_body import resource_limits
from skep.cli.commands.container_flags import RESOURCE_FLAGS
from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, text
from skep.cli.session import Session
from skep.cli.values.limits import parse_restart


def _update(session: Session, options: Options, names: list[str]) -> int:
    body = {key: limit for key, limit in resource_limits(options).items() if limit}
    if options.given("restart"):
        try:
            body["RestartPolicy"] = parse_restart(options.text("restart"))
        except ValueError as error:
            raise Failure(str(error)) from None
    if not body:
        raise Failure("you must provide one or more flags when using this command")

    def one(name: str) -> str:
        answer = session.client.post(f"/containers/{name}/update", body)
        for warning in (answer or {}).get("Warnings") or []:
            session.complain(warning)
        return name

    return session.each(names, one)


UPDATE = Command(
    "CONTAINER [CONTAINER...]",
    _update,
    SOME,
    (
        *RESOURCE_FLAGS,
        text("--restart", "Restart policy to apply when a container exits"),
    ),
)
