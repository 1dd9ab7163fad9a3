"""`skep service scale` and `skep service rm`."""

from __future__ import annotations

from typing import Any

from skep.cli.commands.service_lookups import say_warnings
from skep.cli.commands.service_wait import wait_on_service
from skep.cli.errors import Failure, UsageFailure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.flags.kinds import read_uint
from skep.cli.session import Session


def _scale(session: Session, options: Options, arguments: list[str]) -> None:
    wanted = [_pair(argument) for argument in arguments]
    failures, scaled = [], []
    for name, count in wanted:
        try:
            _scale_one(session, name, count)
        except Failure as error:
            failures.append(f"{name}: {error}")
        else:
            scaled.append(name)
    if not options.yes("detach"):
        for name in scaled:
            wait_on_service(session, name)
    if failures:
        raise Failure("\n".join(failures))


def _pair(argument: str) -> tuple[str, str]:
    name, equals, count = argument.partition("=")
    if not equals or not name:
        raise UsageFailure(
            f"invalid scale specifier '{argument}': write SERVICE=REPLICAS, as in web=3", 1
        )
    return name, count


def _scale_one(session: Session, name: str, text: str) -> None:
    try:
        count = read_uint(text)
    except ValueError as error:
        raise Failure(f"invalid replicas value {text}: {error}") from None
    client = session.client
    service = client.get(f"/services/{name}")
    spec = service["Spec"]
    set_replicas(spec["Mode"], count)
    query = {"version": service["Version"]["Index"]}
    answer = client.post(f"/services/{service['ID']}/update", spec, query)
    say_warnings(session, answer)
    session.say(f"{name} scaled to {count}")


def set_replicas(mode: dict[str, Any], count: int) -> None:
    """Write the number of tasks into a Mode; global services have none."""
    if "Replicated" in mode:
        mode["Replicated"] = {**(mode["Replicated"] or {}), "Replicas": count}
    elif "ReplicatedJob" in mode:
        mode["ReplicatedJob"]["TotalCompletions"] = count
    else:
        raise Failure("scale can only be used with replicated or replicated-job mode")


def _rm(session: Session, _: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/services/{name}")
        return name

    return session.each(names, one)


SCALE = Command(
    "SERVICE=REPLICAS [SERVICE=REPLICAS...]",
    _scale,
    SOME,
    (switch("-d --detach", "Exit immediately instead of waiting for the service to converge"),),
)
RM = Command("SERVICE [SERVICE...]", _rm, SOME)
