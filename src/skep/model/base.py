"""How a noun becomes the Engine API's JSON: field names, versions, decoding with clear errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from skep.kit.clock import ZERO_TIME
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.bounds import Count, Moment
from skep.model.spelling import respelled

log = logging.getLogger(__name__)

T = TypeVar("T")

_INITIALISMS = {
    "id": "ID", "ids": "IDs", "ip": "IP", "ips": "IPs", "vips": "VIPs", "cpu": "CPU",
    "cpus": "CPUs", "dns": "DNS", "os": "OS", "pid": "PID", "tls": "TLS", "ca": "CA",
    "url": "URL", "uid": "UID", "gid": "GID", "ipam": "IPAM", "tty": "TTY",
    "tmpfs": "Tmpfs", "ipv4": "IPv4", "ipv6": "IPv6", "api": "API", "uts": "UTS",
}  # fmt: skip


def docker_name(field: str) -> str:
    """`node_id` -> `NodeID`: the Go field names that the Engine API uses as JSON keys."""
    return "".join(_INITIALISMS.get(word, word[:1].upper() + word[1:]) for word in field.split("_"))


class Value(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=docker_name, gc=False
):
    """A comparable value whose JSON form is the Engine API's; fields at their default are left out.

    Field names are snake_case of the API's (`nano_cpus` is `NanoCPUs`); where the API's spelling
    follows no rule, the field says it with `msgspec.field(name=…)`. Unknown keys are ignored on
    decoding: the `Strict` kind minds them. Values have no circles, so the garbage collector need
    not look at them: a manager keeps millions.
    """


class Strict(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that users write.

    A key of the Engine API, in whichever version, is a field, or stands in `unsupported` with the
    value that asks for nothing: any other is refused by name. `decode_json` says what becomes of a
    key that the API does not have.
    """

    unsupported: ClassVar[Mapping[str, Any]] = {}


def always_shown(default: T) -> T:
    """A field that is written at its default too, in a struct that leaves defaults out: docker's
    clients read it without asking whether it is there."""
    return msgspec.field(default_factory=lambda: default)


class Version(msgspec.Struct, frozen=True, rename=docker_name, gc=False):
    """The revision of the commit that last wrote an object (docker: `Version.Index`)."""

    index: Count = 0


class Object(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False, rename=docker_name, gc=False
):
    """What every stored object has beside its spec.

    The store sets `version` and `updated_at` (and `created_at` at birth) when it commits.
    """

    id: str
    version: Version = Version()
    created_at: Moment = ZERO_TIME
    updated_at: Moment = ZERO_TIME


class Specified(Object, frozen=True, kw_only=True):
    """An object whose spec users write, while the cluster writes what became of it.

    `spec_since` is the version that the last change of the spec replaced: whoever read a later one
    has read this spec. (Version numbers are the whole store's: none lies between the two.)
    """

    spec_since: Version = Version()


def decode_json(
    body: bytes, kind: type[T], what: str = "request body", *, lenient: bool = False
) -> T:
    """Read JSON into `kind`; raises InvalidArgument with the path of the wrong field, and
    Unimplemented for a key that skep does not do.

    A null means "not given", as Go clients write their nil maps, slices and pointers; keys may be
    written in any case, as Go servers read them. A text with a NUL is refused: no program, path or
    variable can have one. A key that is not the API's is an error; `lenient` leaves it out and says
    so in the debug log, as the API bids servers treat their clients.
    """
    try:
        if (value := _as_spelled(body, kind)) is None:
            value = _as_meant(body, kind, what, lenient)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid {what}: {error}") from None
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid JSON in {what}: {error}") from None
    return value


_ESCAPED_NUL = b"\\u0000"


def _as_spelled(body: bytes, kind: type[T]) -> T | None:
    """The value of a body that says only what `kind` has, spelled as it is there: one quick step
    for most bodies. None for any other."""
    if not issubclass(kind, Strict) or _ESCAPED_NUL in body:
        return None
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        return None


def _as_meant(body: bytes, kind: type[T], what: str, lenient: bool) -> T:
    value = msgspec.json.decode(body)
    if _ESCAPED_NUL in body and _has_nul(value):
        raise InvalidArgument(f"invalid {what}: a text in it has a NUL character")
    unknown: list[str] | None = [] if lenient else None
    meant = msgspec.convert(respelled(value, kind, unknown), type=kind)
    if unknown:
        log.debug("%s: left out what the Engine API does not have: %s", what, _listed(unknown))
    return meant


_MOST_LISTED = 20


def _listed(paths: Sequence[str]) -> str:
    """For the log: whoever sends nonsense does not choose how long its lines are."""
    shown = ", ".join(ascii(path[:200])[1:-1] for path in paths[:_MOST_LISTED])
    more = len(paths) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def encode_json(value: Any) -> bytes:
    """A value as compact JSON bytes."""
    return msgspec.json.encode(value)
