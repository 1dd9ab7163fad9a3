"""Names for services whose writer gave none: `brave_heron`, as docker makes them."""

from __future__ import annotations

from skep.manager.room import NewId
from skep.store.change import View

_ADJECTIVES = (
    "able", "amber", "bold", "brave", "bright", "busy", "calm", "clever", "cosy", "eager",
    "early", "fair", "gentle", "golden", "happy", "honest", "humble", "jolly", "keen", "kind",
    "lively", "lucid", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient",
    "placid", "proud", "quick", "quiet", "ready", "rosy", "sharp", "shy", "silent", "smart",
    "snug", "spry", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise", "witty",
)  # fmt: skip
_NOUNS = (
    "alder", "aster", "badger", "beech", "birch", "bramble", "clover", "comet", "crane", "dahlia",
    "finch", "foxglove", "hawk", "hazel", "heather", "heron", "ibis", "iris", "juniper", "kestrel",
    "lark", "laurel", "lilac", "linden", "lupin", "lynx", "magpie", "maple", "marten", "mint",
    "orchid", "osprey", "otter", "plover", "poppy", "primrose", "raven", "robin", "rowan", "sage",
    "sorrel", "sparrow", "stoat", "swallow", "tansy", "thistle", "thrush", "viola", "willow", "yew",
)  # fmt: skip


def unused_name(view: View, new_id: NewId) -> str:
    """A name that no service has. The chance in it comes from `new_id`."""
    number = int(new_id(), 36)
    name = _name(number)
    return name if view.service_named(name) is None else f"{name}{number % 100_000}"


def _name(number: int) -> str:
    rest, noun = divmod(number, len(_NOUNS))
    return f"{_ADJECTIVES[rest % len(_ADJECTIVES)]}_{_NOUNS[noun]}"
