"""Prune: what nothing uses is removed, after a question."""

from __future__ import annotations

from typing import Any

from skep.cli.client.client import Client, filters_query
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Flag, Options, switch, texts
from skep.cli.flags.kinds import read_filter
from skep.cli.session import Session
from skep.cli.show.units import human_size

_SURE = "Are you sure you want to continue?"
_FORCE = switch("-f --force", "Do not prompt for confirmation")
_FILTER = texts(
    "--filter", 'Provide filter values (e.g. "until=<timestamp>")', read_filter, "filter"
)

Pair = tuple[str, str]


def _ask(session: Session, options: Options, warning: str) -> bool:
    return options.yes("force") or session.confirm(f"WARNING! {warning}\n{_SURE}")


def _call(client: Client, path: str, pairs: list[Pair]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(path, query={"filters": filters_query(pairs)}) or {}
    return answer


def _listed(title: str, names: list[str] | None) -> str:
    return "".join(f"{line}\n" for line in (title, *names, "")) if names else ""


def _containers(client: Client, pairs: list[Pair]) -> tuple[int, str]:
    answer = _call(client, "/containers/prune", pairs)
    text = _listed("Deleted Containers:", answer.get("ContainersDeleted"))
    return answer.get("SpaceReclaimed") or 0, text


def _images(client: Client, pairs: list[Pair], *, every: bool) -> tuple[int, str]:
    dangling = ("dangling", "false" if every else "true")
    answer = _call(client, "/images/prune", [*pairs, dangling])
    lines = [
        f"untagged: {each['Untagged']}" if each.get("Untagged") else f"deleted: {each['Deleted']}"
        for each in answer.get("ImagesDeleted") or []
    ]
    return answer.get("SpaceReclaimed") or 0, _listed("Deleted Images:", lines)


def _volumes(client: Client, pairs: list[Pair]) -> tuple[int, str]:
    answer = _call(client, "/volumes/prune", pairs)
    text = _listed("Deleted Volumes:", answer.get("VolumesDeleted"))
    return answer.get("SpaceReclaimed") or 0, text


def _networks(client: Client, pairs: list[Pair]) -> str:
    answer = _call(client, "/networks/prune", pairs)
    return _listed("Deleted Networks:", answer.get("NetworksDeleted"))


def _reclaimed(session: Session, size: int) -> None:
    session.say(f"Total reclaimed space: {human_size(size)}")


def _prune_containers(session: Session, options: Options, _: list[str]) -> None:
    if _ask(session, options, "This will remove all stopped containers."):
        size, text = _containers(session.client, options.items("filter"))
        session.write(text)
        _reclaimed(session, size)


def _prune_images(session: Session, options: Options, _: list[str]) -> None:
    every = options.yes("all")
    warning = (
        "This will remove all images without at least one container associated to them."
        if every
        else "This will remove all dangling images."
    )
    if _ask(session, options, warning):
        size, text = _images(session.client, options.items("filter"), every=every)
        session.write(text)
        _reclaimed(session, size)


def _prune_networks(session: Session, options: Options, _: list[str]) -> None:
    warning = "This will remove all custom networks not used by at least one container."
    if _ask(session, options, warning):
        session.write(_networks(session.client, options.items("filter")))


def _prune_volumes(session: Session, options: Options, _: list[str]) -> None:
    pairs = options.items("filter")
    every = options.yes("all")
    if every and any(name == "all" for name, _ in pairs):
        raise Failure("conflicting options: cannot specify both --all and --filter all=1")
    kind = "all local volumes" if every else "anonymous local volumes"
    if _ask(session, options, f"This will remove {kind} not used by at least one container."):
        size, text = _volumes(session.client, [*pairs, *_all_volumes(session.client, every)])
        session.write(text)
        _reclaimed(session, size)


def _all_volumes(client: Client, every: bool) -> list[Pair]:
    """Named volumes are spared unless asked for; before API 1.42 they never were."""
    return [("all", "true")] if every and client.api_version >= (1, 42) else []


def _prune_system(session: Session, options: Options, _: list[str]) -> None:
    pairs, every, volumes = options.items("filter"), options.yes("all"), options.yes("volumes")
    if volumes and any(name == "until" for name, _ in pairs):
        raise Failure('The "until" filter is not supported with "--volumes"')
    lines = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them"
        if every
        else "all dangling images",
    ]
    if pairs:
        given = ", ".join(f"{name}={value}" for name, value in pairs)
        lines[-1] += f"\n\n  Items to be pruned will be filtered with:\n  - {given}"
    warning = "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    if not _ask(session, options, warning):
        return
    client = session.client
    total, text = _containers(client, pairs)
    session.write(text)
    session.write(_networks(client, pairs))
    if volumes:
        size, text = _volumes(client, pairs)
        total += size
        session.write(text)
    size, text = _images(client, pairs, every=every)
    session.write(text)
    _reclaimed(session, total + size)


def _flags(*more: Flag) -> tuple[Flag, ...]:
    return (_FILTER, _FORCE, *more)


CONTAINERS = Command("", _prune_containers, NONE, _flags())
IMAGES = Command(
    "",
    _prune_images,
    NONE,
    _flags(switch("-a --all", "Remove all unused images, not just dangling ones")),
)
NETWORKS = Command("", _prune_networks, NONE, _flags())
VOLUMES = Command(
    "",
    _prune_volumes,
    NONE,
    _flags(switch("-a --all", "Remove all unused volumes, not just anonymous ones")),
)
SYSTEM = Command(
    "",
    _prune_system,
    NONE,
    _flags(
        switch("-a --all", "Remove all unused images not just dangling ones"),
        switch("--volumes", "Prune anonymous volumes"),
    ),
)
