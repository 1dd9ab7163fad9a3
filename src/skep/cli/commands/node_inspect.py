"""`skep node inspect`."""

from __future__ import annotations

from typing import Any

from skep.cli.commands.task_list import node_reference
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session
from skep.cli.show.details import inspect_or_pretty
from skep.cli.show.lists import inspect_format
from skep.cli.show.pretty_node import pretty_node


def _inspect(session: Session, options: Options, names: list[str]) -> int:
    def find(name: str) -> Any:
        return session.client.get(f"/nodes/{node_reference(session.client, name)}")

    return inspect_or_pretty(session, options, names, find, pretty_node)


INSPECT = Command(
    "self|NODE [NODE...]",
    _inspect,
    SOME,
    (inspect_format(), switch("--pretty", "Print the information in a human friendly format")),
)
