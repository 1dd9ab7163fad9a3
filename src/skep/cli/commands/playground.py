"""`skep playground …`: a cluster of many nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from skep.cli.client.address import parse_address
from skep.cli.client.client import Client
from skep.cli.errors import Failure
from skep.cli.flags.command import ANY, NONE, SOME, Arity, Command
from skep.cli.flags.flag import Options, number, text
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.kit.errors import SkepError, Unavailable

if TYPE_CHECKING:
    from skep.playground.cluster import Playground
    from skep.playground.places import MachinePlace

_T = TypeVar("_T")

_PATIENCE_S = 20.0

_NAME = text("--name", "Which playground", default="main")
_TABLE = "{{.Name}}\t{{.Address}}\t{{.Role}}\t{{.State}}\t{{.DockerHost}}"

FIELDS: Fields = {
    "Name": Field("NAME", lambda node: node.name),
    "Address": Field("ADDRESS", lambda node: node.address),
    "Role": Field("ROLE", lambda node: node.role),
    "State": Field("STATE", lambda node: node.state),
    "DockerHost": Field("DOCKER HOST", lambda node: f"DOCKER_HOST={node.host}"),
}


class _Api:
    """A node's API in the terms of the playground's room."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, path: str) -> Any:
        return _told(lambda: self._client.get(path))

    def post(self, path: str, body: Any) -> Any:
        return _told(lambda: self._client.post(path, body))


@contextmanager
def _dial(host: str) -> Iterator[_Api]:
    """The node may be half dead: no wait for it is without an end."""
    with closing(Client(parse_address(host), _PATIENCE_S)) as client:
        yield _Api(client)


def _told(call: Callable[[], _T]) -> _T:
    try:
        return call()
    except Failure as error:
        raise Unavailable(str(error)) from None
    except TimeoutError:
        raise Unavailable(f"nothing was heard for {_PATIENCE_S:g} s") from None


def _run_daemon(place: MachinePlace) -> int:
    from skep.daemon import run

    return run(
        {
            "hosts": [place.host],
            "data-root": str(place.data_root),
            "exec-root": str(place.exec_root),
        },
        config_file=place.settings,
    )


def _playground(session: Session, options: Options) -> Playground:
    from skep.playground.cluster import Playground
    from skep.playground.places import places

    if os.geteuid() != 0:
        raise Failure("a playground makes namespaces and containers: run this as root")
    return Playground(places(options.text("name")), _dial, _run_daemon, session.say)


def _up(session: Session, options: Options, _: list[str]) -> None:
    playground = _playground(session, options)
    _said(lambda: playground.up(options.number("nodes"), options.number("managers")))
    _show(session, options, playground)


def _down(session: Session, options: Options, _: list[str]) -> None:
    _said(_playground(session, options).down)


def _status(session: Session, options: Options, _: list[str]) -> None:
    _show(session, options, _playground(session, options))


def _show(session: Session, options: Options, playground: Playground) -> None:
    show_list(session, options, FIELDS, _said(playground.status), table=_TABLE)


def _exec(session: Session, options: Options, words: list[str]) -> None:
    playground = _playground(session, options)
    node, *program = words
    if program[:1] == ["--"]:
        program = program[1:]
    if not program:
        raise Failure("say what to run: skep playground exec NODE COMMAND [ARG...]")
    entering = _said(lambda: playground.inside(node))
    host = _said(lambda: playground.place(node)).host
    session.flush()
    environment = os.environ | {"DOCKER_HOST": host, "SKEP_HOST": host}
    os.execvpe(entering[0], [*entering, *program], environment)


def _kill(session: Session, options: Options, nodes: list[str]) -> None:
    _said(lambda: _playground(session, options).kill(nodes))


def _start(session: Session, options: Options, nodes: list[str]) -> None:
    _said(lambda: _playground(session, options).start(nodes))


def _partition(session: Session, options: Options, nodes: list[str]) -> None:
    _said(lambda: _playground(session, options).partition(nodes))


def _heal(session: Session, options: Options, nodes: list[str]) -> None:
    _said(lambda: _playground(session, options).heal(nodes))


def _said(call: Callable[[], _T]) -> _T:
    """What goes wrong in the playground, as the command line says it."""
    try:
        return call()
    except SkepError as error:
        raise Failure(str(error)) from None


UP = Command(
    "",
    _up,
    NONE,
    (
        _NAME,
        number("--nodes", "How many nodes", default=3),
        number("--managers", "How many of them are managers", default=1),
        list_format(),
    ),
)
DOWN = Command("", _down, NONE, (_NAME,))
STATUS = Command("", _status, NONE, (_NAME, list_format()))
EXEC = Command("NODE COMMAND [ARG...]", _exec, Arity(2, None), (_NAME,), interspersed=False)
KILL = Command("NODE [NODE...]", _kill, SOME, (_NAME,))
START = Command("NODE [NODE...]", _start, SOME, (_NAME,))
PARTITION = Command("NODE [NODE...]", _partition, SOME, (_NAME,))
HEAL = Command("[NODE...]", _heal, ANY, (_NAME,))
