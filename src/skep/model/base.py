"""How a noun becomes the Engine API's JSON: field names, versions, decoding with clear errors."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from skep.kit.clock import ZERO_TIME
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.bounds import Count, Moment
from skep.model.spelling import respelled

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
    decoding: the `Strict` kind refuses them. Values have no circles, so the garbage collector need
    not look at them: a manager keeps millions.
    """


class Strict(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that users write: a key that it does not know is an error, never dropped."""


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


def decode_json(body: bytes, kind: type[T], what: str = "request body") -> T:
    """Read JSON into `kind`; raises InvalidArgument with the path of the wrong field.

    A null means "not given", as Go clients write their nil maps, slices and pointers; keys may be
    written in any case, as Go servers read them. A text with a NUL is refused: no program, path or
    variable can have one.
    """
    try:
        value = msgspec.json.decode(body)
        if b"\\u0000" in body and _has_nul(value):
            raise InvalidArgument(f"invalid {what}: a text in it has a NUL character")
        return msgspec.convert(respelled(value, kind), type=kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid {what}: {error}") from None
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid JSON in {what}: {error}") from None


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def encode_json(value: Any) -> bytes:
    """A value as compact JSON bytes."""
    return msgspec.json.encode(value)
