"""`skep update`."""

from __future__ import annotations

from skep.cli.commands.container_body import resource_limits
from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, number, text, value
from skep.cli.flags.kinds import CPUS, SIZE, Kind
from skep.cli.session import Session
from skep.cli.values.limits import parse_restart
from skep.cli.values.size import parse_swap


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
        number("--blkio-weight", "Block IO weight, from 10 to 1000, or 0 to disable"),
        number("--cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        number("--cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        number("--cpu-rt-period", "Limit the CPU real-time period in microseconds"),
        number("--cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
        number("-c --cpu-shares", "CPU shares (relative weight)"),
        value("--cpus", CPUS, "Number of CPUs", default=0),
        text("--cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        text("--cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
        value("-m --memory", SIZE, "Memory limit", default=0),
        value("--memory-reservation", SIZE, "Memory soft limit", default=0),
        value(
            "--memory-swap",
            Kind("bytes", parse_swap),
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
            default=0,
        ),
        number("--pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        text("--restart", "Restart policy to apply when a container exits"),
    ),
)
