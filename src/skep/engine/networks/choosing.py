"""Which networks a list or a prune means. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from skep.engine.filters import Filters, check_filters, flag, passes_labels, until_moment
from skep.engine.networks.members import Members
from skep.engine.networks.record import PREDEFINED
from skep.kit.errors import InvalidArgument

_LIST = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNE = frozenset({"label", "label!", "until"})


def choose(networks: Iterable[Members], filters: Filters | None) -> list[Members]:
    """Those that a list shows. Raises InvalidArgument for filters that make no sense."""
    wanted = check_filters(filters, _LIST)
    for kind in wanted.get("type", ()):
        if kind not in {"builtin", "custom"}:
            raise InvalidArgument(f"invalid filter: 'type'='{kind}'")
    dangling = flag(wanted, "dangling")
    return [
        members
        for members in networks
        if _passes(members, wanted)
        and dangling in (None, not len(members) and members.network.name not in PREDEFINED)
    ]


def unused(networks: Iterable[Members], filters: Filters | None, now: datetime) -> list[Members]:
    """Those that a prune removes. Raises InvalidArgument for filters that make no sense."""
    wanted = check_filters(filters, _PRUNE)
    until = until_moment(wanted, now)
    return [
        members
        for members in networks
        if not len(members)
        and members.network.name not in PREDEFINED
        and members.network.scope != "swarm"
        and passes_labels(members.network.labels, wanted)
        and (until is None or members.network.created_at < until)
    ]


def _passes(members: Members, wanted: Mapping[str, Collection[str]]) -> bool:
    record = members.network
    kind = "builtin" if record.name in PREDEFINED else "custom"
    return (
        passes_labels(record.labels, wanted)
        and _one_of(record.driver, wanted, "driver")
        and _one_of(record.scope, wanted, "scope")
        and _one_of(kind, wanted, "type")
        and ("name" not in wanted or any(text in record.name for text in wanted["name"]))
        and ("id" not in wanted or any(record.id.startswith(text) for text in wanted["id"]))
    )


def _one_of(value: str, wanted: Mapping[str, Collection[str]], key: str) -> bool:
    return key not in wanted or value in wanted[key]
