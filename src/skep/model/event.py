"""Events as GET /events writes them (Engine API 1.50: EventMessage)."""

from __future__ import annotations

import msgspec
from msgspec import field

from skep.model.bounds import Int64


class Actor(msgspec.Struct, frozen=True, rename="pascal"):
    """What it happened to. `attributes` are its labels and what the action adds."""

    id: str = field(name="ID", default="")
    attributes: dict[str, str] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. `status`, `id` and `from_` are docker's old keys, containers' and
    images' only."""

    status: str = ""
    id: str = ""
    from_: str = field(name="from", default="")
    type: str = field(name="Type")
    action: str = field(name="Action")
    actor: Actor = field(name="Actor")
    scope: str
    time: Int64
    time_nano: Int64 = field(name="timeNano")


_OLD_KEYS = frozenset({"container", "image"})


def make_event(
    kind: str,
    action: str,
    actor_id: str,
    attributes: dict[str, str],
    now_ns: int,
    scope: str = "local",
) -> Event:
    """An event of `kind` ("container", "network", …) at `now_ns` nanoseconds since 1970."""
    old = kind in _OLD_KEYS
    return Event(
        status=action if old else "",
        id=actor_id if old else "",
        from_=attributes.get("image", "") if kind == "container" else "",
        type=kind,
        action=action,
        actor=Actor(actor_id, attributes),
        scope=scope,
        time=now_ns // 1_000_000_000,
        time_nano=now_ns,
    )
