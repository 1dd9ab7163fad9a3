"""`skep port` and `skep top`."""

from __future__ import annotations

from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Arity, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.show.table import align
from skep.cli.show.units import natural_key
from skep.cli.show.words import host_port

_TOP_WIDTH = 20


def _port(session: Session, _: Options, arguments: list[str]) -> None:
    name, *wanted = arguments
    container = session.client.get(f"/containers/{name}/json")
    ports = (container.get("NetworkSettings") or {}).get("Ports") or {}
    if not wanted:
        for line in port_lines(ports):
            session.say(line)
        return
    key = wanted[0].lower() if "/" in wanted[0] else f"{wanted[0]}/tcp"
    number = key.partition("/")[0]
    if not number.isdecimal():
        raise Failure(f"Error: invalid port ({number}): write it as 80 or 80/udp")
    bound = ports.get(key)
    if not bound:
        raise Failure(f"Error: No public port '{wanted[0]}' published for {name}")
    for binding in bound:
        session.say(host_port(binding["HostIp"], binding["HostPort"]))


def port_lines(ports: dict[str, list[dict[str, Any]] | None]) -> list[str]:
    """`80/tcp -> 0.0.0.0:8080`, in the ports' natural order."""
    return [
        f"{key} -> {host_port(binding['HostIp'], binding['HostPort'])}"
        for key in sorted(ports, key=natural_key)
        for binding in ports[key] or []
    ]


def _top(session: Session, _: Options, arguments: list[str]) -> None:
    name, *ps_arguments = arguments
    query = {"ps_args": " ".join(ps_arguments) or None}
    table = session.client.get(f"/containers/{name}/top", query)
    lines = ["\t".join(row) for row in [table["Titles"], *table["Processes"]]]
    session.write(align(lines, least=_TOP_WIDTH))


PORT = Command("CONTAINER [PRIVATE_PORT[/PROTO]]", _port, Arity(1, 2))
TOP = Command("CONTAINER [ps OPTIONS]", _top, SOME, interspersed=False)
