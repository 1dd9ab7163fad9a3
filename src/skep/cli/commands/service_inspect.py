"""`skep service inspect`."""

from __future__ import annotations

from typing import Any

from skep.cli.client.client import Client
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session
from skep.cli.show.details import inspect_or_pretty
from skep.cli.show.lists import inspect_format
from skep.cli.show.pretty_service import pretty_service

_NOT_FOUND = 404


def _inspect(session: Session, options: Options, names: list[str]) -> int:
    client = session.client

    def find(name: str) -> Any:
        try:
            return client.get(f"/services/{name}", {"insertDefaults": "true"})
        except ApiFailure as error:
            if error.status != _NOT_FOUND:
                raise
            raise Failure(f"Error: no such service: {name}") from None

    def show(service: Any) -> str:
        return "\n" + pretty_service(service, _network_names(client, service), session.now)

    return inspect_or_pretty(session, options, names, find, show)


def _network_names(client: Client, service: dict[str, Any]) -> dict[str, str]:
    task = service["Spec"].get("TaskTemplate") or {}
    names = {}
    for each in task.get("Networks") or service["Spec"].get("Networks") or []:
        try:
            names[each["Target"]] = client.get(f"/networks/{each['Target']}")["Name"]
        except ApiFailure:
            continue
    return names


INSPECT = Command(
    "SERVICE [SERVICE...]",
    _inspect,
    SOME,
    (inspect_format(), switch("--pretty", "Print the information in a human friendly format")),
)
