"""`skep node update`, `promote`, `demote` and `rm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.command import ONE, SOME, Command
from skep.cli.flags.flag import Options, switch, text, texts
from skep.cli.session import Session
from skep.cli.values.pairs import check_label, mapping

_AVAILABILITIES = ("active", "pause", "drain")
_ROLES = ("worker", "manager")

Spec = dict[str, Any]


def _update(session: Session, options: Options, arguments: list[str]) -> None:
    name = arguments[0]
    node = session.client.get(f"/nodes/{name}")
    change_node(node["Spec"], options)
    _send(session, node)
    session.say(name)


def _send(session: Session, node: dict[str, Any]) -> None:
    query = {"version": node["Version"]["Index"]}
    session.client.post(f"/nodes/{node['ID']}/update", node["Spec"], query)


def change_node(spec: Spec, options: Options) -> None:
    """Apply the flags of node update to a NodeSpec; raises Failure for what cannot be."""
    if options.given("role"):
        spec["Role"] = _one_of(options.text("role"), _ROLES, "role")
    if options.given("availability"):
        spec["Availability"] = _one_of(
            options.text("availability"), _AVAILABILITIES, "availability"
        )
    labels = {**(spec.get("Labels") or {}), **mapping(options.items("label-add"))}
    for key in options.items("label-rm"):
        if key not in labels:
            raise Failure(f"key {key} doesn't exist in node's labels")
        del labels[key]
    spec["Labels"] = labels


def _one_of(word: str, allowed: tuple[str, ...], what: str) -> str:
    if word.lower() not in allowed:
        raise Failure(f'invalid {what} "{word}": use {", ".join(allowed[:-1])} or {allowed[-1]}')
    return word.lower()


def _give_role(role: str, done: str) -> Callable[[Session, Options, list[str]], int]:
    def run(session: Session, _: Options, names: list[str]) -> int:
        def one(name: str) -> str:
            node = session.client.get(f"/nodes/{name}")
            if node["Spec"].get("Role") == role:
                return f"Node {node['ID']} is already a {role}."
            node["Spec"]["Role"] = role
            _send(session, node)
            return done.format(name)

        return session.each(names, one)

    return run


def _rm(session: Session, options: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/nodes/{name}", {"force": options.yes("force") or None})
        return name

    return session.each(names, one)


UPDATE = Command(
    "NODE",
    _update,
    ONE,
    (
        text("--availability", 'Availability of the node ("active", "pause", "drain")'),
        texts("--label-add", 'Add or update a node label ("key=value")', check_label),
        texts("--label-rm", "Remove a node label if exists"),
        text("--role", 'Role of the node ("worker", "manager")'),
    ),
)
PROMOTE = Command(
    "NODE [NODE...]", _give_role("manager", "Node {} promoted to a manager in the swarm."), SOME
)
DEMOTE = Command("NODE [NODE...]", _give_role("worker", "Manager {} demoted in the swarm."), SOME)
RM = Command(
    "NODE [NODE...]", _rm, SOME, (switch("-f --force", "Force remove a node from the swarm"),)
)
