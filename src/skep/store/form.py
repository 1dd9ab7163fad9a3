"""The form in which objects and commits are kept: msgpack. Whoever keeps it need not know what is
in it.

An object's body is a map by its field names. A commit's is a list of records: what is new stands
there whole, of what changed only the fields that did, for a task's spec is ten times its status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import is_not
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import astuple, fields, replace

from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.fitting import fitted
from skep.model.task import Task, settled
from skep.store.change import Action, Commit, Event
from skep.store.kinds import KINDS, Stored
from skep.store.log import Entry

log = logging.getLogger(__name__)

Key: TypeAlias = tuple[str, str]
"""Kind and id of an object."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One change. `body` is the whole object at its birth, the changed fields at an update, and
    empty at its end."""

    kind: str
    id: str
    action: Action
    body: bytes
    why: str


def _partial(cls: type[Stored]) -> type[msgspec.Struct]:
    """The same class with every field left out unless it is given."""
    words = [
        (each.name, each.type | UnsetType, msgspec.field(default=UNSET, name=each.encode_name))
        for each in fields(cls)
    ]
    return msgspec.defstruct(f"{cls.__name__}Fields", words)


_encoder = msgspec.msgpack.Encoder()
_FIELDS = {name: [each.encode_name for each in fields(kind.cls)] for name, kind in KINDS.items()}
_DECODERS = {name: msgspec.msgpack.Decoder(kind.cls) for name, kind in KINDS.items()}
_PARTIAL = {name: msgspec.msgpack.Decoder(_partial(kind.cls)) for name, kind in KINDS.items()}
_MAP = msgspec.msgpack.Decoder(dict[str, Raw])
_RECORDS = msgspec.msgpack.Decoder(list[Record])
"""Made once, before a thread reads with them (see engine/containers/record.py)."""


# Objects


def encode(kind: str, stored: Stored) -> bytes:
    """Raises InvalidArgument for what cannot be kept, such as a number beyond 64 bits."""
    return _encoded(stored, kind, stored.id)


def decode(kind: str, object_id: str, body: bytes) -> Stored:
    """What was kept. What an older skep kept beyond the bounds of today is read at the bound, and
    said. Raises ValueError for what cannot be read at all: to go on without it would end it."""
    try:
        try:
            stored: Stored = _DECODERS[kind].decode(body)
        except msgspec.ValidationError as error:
            stored = fitted(msgspec.msgpack.decode(body), KINDS[kind].cls)
            log.error("%s %s is read as far as it makes sense: %s", kind, object_id, error)
    except (KeyError, TypeError, *UNDECODABLE) as error:
        raise _unreadable(f"{kind} {object_id}", error) from error
    return settled(stored) if isinstance(stored, Task) else stored


def changes(kind: str, old: Stored, new: Stored) -> bytes:
    """The fields in which `new` differs from `old`. What was not replaced is the same object, so no
    value is looked into."""
    before, after = astuple(old), astuple(new)
    changed = dict(compress(zip(_FIELDS[kind], after, strict=True), map(is_not, before, after)))
    return _encoded(changed, kind, new.id)


def changed(kind: str, old: Stored, body: bytes) -> Stored:
    """`old` once the fields in `body` changed. Raises ValueError as `decode` does."""
    try:
        given = _PARTIAL[kind].decode(body)
    except (TypeError, *UNDECODABLE):
        key = (kind, old.id)
        whole = _fields(key, encode(kind, old)) | _fields(key, body)
        return decode(kind, old.id, _encoder.encode(whole))
    words = {name: getattr(given, name) for name in given.__struct_fields__}
    return replace(old, **{name: value for name, value in words.items() if value is not UNSET})


def _fields(key: Key, body: bytes) -> dict[str, Raw]:
    """Each still encoded. Raises ValueError as `decode` does."""
    try:
        return _MAP.decode(body)
    except (TypeError, *UNDECODABLE) as error:
        raise _unreadable(" ".join(key), error) from error


def _encoded(value: object, kind: str, object_id: str) -> bytes:
    try:
        return _encoder.encode(value)
    except Exception as error:
        raise InvalidArgument(f"{kind} {object_id} cannot be stored: {error}") from error


def _unreadable(what: str, error: Exception) -> ValueError:
    return ValueError(
        f"{what} cannot be read ({error}): the file is damaged, or a newer skep "
        "wrote it: restore it from a backup"
    )


# Commits


def record(event: Event) -> Record:
    """Raises InvalidArgument for what cannot be kept."""
    kind, old, new = event.kind, event.old, event.new
    if new is None:
        assert old is not None
        return Record(kind, old.id, event.action, b"", event.why)
    body = encode(kind, new) if old is None else changes(kind, old, new)
    return Record(kind, new.id, event.action, body, event.why)


def entry(revision: int, records: Sequence[Record]) -> Entry:
    return Entry(revision, _encoder.encode(records))


def records(entry: Entry) -> list[Record]:
    """Raises ValueError for what cannot be read."""
    try:
        return _RECORDS.decode(entry.body)
    except (TypeError, *UNDECODABLE) as error:
        raise _unreadable(f"commit {entry.revision}", error) from error


def commit(entry: Entry, find: Callable[[str, str], Stored | None]) -> Commit:
    """The commit as its writer published it; `find` knows the objects before it, by kind and id.
    Raises ValueError for what cannot be read."""
    pending: dict[Key, Stored | None] = {}
    events = []
    for each in records(entry):
        key = (each.kind, each.id)
        old = pending[key] if key in pending else find(*key)
        new = _after(each, old)
        pending[key] = new
        events.append(Event(each.kind, each.action, old, new, each.why))
    return Commit(entry.revision, tuple(events))


def _after(record: Record, old: Stored | None) -> Stored | None:
    match record.action:
        case "create":
            return decode(record.kind, record.id, record.body)
        case "update" if old is not None:
            return changed(record.kind, old, record.body)
        case "update":
            raise ValueError(f"{record.kind} {record.id} changed and was never made")
        case "remove":
            return None


class Bodies:
    """The newest body of each object as entries are added; None when it is gone.

    `before` gives bodies from before the first entry. An entry may be added to what holds it
    already: fields are set, not counted, so the last word on each is the same.
    """

    def __init__(self, before: Callable[[Key], bytes | None]) -> None:
        self._before = before
        self._newest: dict[Key, bytes | dict[str, Raw] | None] = {}

    def put(self, key: Key, body: bytes | None) -> None:
        self._newest[key] = body

    def add(self, entry: Entry) -> None:
        """Raises ValueError for what cannot be read."""
        for each in records(entry):
            key = (each.kind, each.id)
            if each.action == "update":
                self._change(key, each.body)
            else:
                self._newest[key] = each.body if each.action == "create" else None

    def items(self) -> Iterator[tuple[Key, bytes | None]]:
        """By key."""
        for key in sorted(self._newest):
            body = self._newest[key]
            yield key, _encoder.encode(body) if isinstance(body, dict) else body

    def _change(self, key: Key, changed: bytes) -> None:
        body = self._newest[key] if key in self._newest else self._before(key)
        if not isinstance(body, dict):
            body = self._newest[key] = _fields(key, body) if body is not None else {}
        body.update(_fields(key, changed))
