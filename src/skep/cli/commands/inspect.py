"""`skep inspect`, and inspect of containers, images, networks and volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skep.cli.client.client import Client
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.session import Session
from skep.cli.show.details import inspect_each
from skep.cli.show.lists import inspect_format

_NOT_FOUND = 404
_PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
    "service": "/services/{}",
    "task": "/tasks/{}",
    "node": "/nodes/{}",
    "secret": "/secrets/{}",
    "config": "/configs/{}",
}
"""In the order in which a name is looked for."""
_SWARM = frozenset(("service", "task", "node", "secret", "config"))


def _any(session: Session, options: Options, names: list[str]) -> int:
    kind = options.text("type")
    if kind and kind not in _PATHS:
        raise Failure(f'unknown type: "{kind}": must be one of {", ".join(sorted(_PATHS))}')
    if kind not in {"", "container"} and options.yes("size"):
        raise Failure("--size is only for containers")
    kinds = [kind] if kind else list(_PATHS)
    client = session.client
    size = options.yes("size")
    return inspect_each(
        session, names, options.text("format"), lambda name: _search(client, kinds, name, size)
    )


def _search(client: Client, kinds: list[str], name: str, size: bool) -> Any:
    alone = len(kinds) == 1
    for kind in kinds:
        if kind in _SWARM and not alone and not _is_manager(client):
            continue
        try:
            return client.get(_PATHS[kind].format(name), {"size": size or None})
        except ApiFailure as error:
            if alone or error.status != _NOT_FOUND:
                raise
    raise Failure(f"Error: No such object: {name}")


def _is_manager(client: Client) -> bool:
    state = client.ping.headers.get("swarm")
    if state is None:
        # Before API 1.42 the ping does not say.
        return bool((client.get("/info").get("Swarm") or {}).get("ControlAvailable"))
    return state.endswith("manager")


def _one_kind(
    kind: str, query: Callable[[Options], dict[str, Any]] = lambda _: {}
) -> Callable[[Session, Options, list[str]], int]:
    def run(session: Session, options: Options, names: list[str]) -> int:
        asked = query(options)
        path = _PATHS[kind]
        return inspect_each(
            session,
            names,
            options.text("format"),
            lambda name: session.client.get(path.format(name), asked),
        )

    return run


_SIZE = switch("-s --size", "Display total file sizes")

INSPECT = Command(
    "NAME|ID [NAME|ID...]",
    _any,
    SOME,
    (
        inspect_format(),
        switch("-s --size", "Display total file sizes if the type is container"),
        text("--type", "Only inspect objects of the given type"),
    ),
)
CONTAINER = Command(
    "CONTAINER [CONTAINER...]",
    _one_kind("container", lambda options: {"size": options.yes("size") or None}),
    SOME,
    (inspect_format(), _SIZE),
)
IMAGE = Command("IMAGE [IMAGE...]", _one_kind("image"), SOME, (inspect_format(),))
NETWORK = Command(
    "NETWORK [NETWORK...]",
    _one_kind("network", lambda options: {"verbose": options.yes("verbose") or None}),
    SOME,
    (inspect_format(), switch("-v --verbose", "Verbose output for diagnostics")),
)
VOLUME = Command("VOLUME [VOLUME...]", _one_kind("volume"), SOME, (inspect_format(),))
