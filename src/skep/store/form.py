"""The form in which objects are kept: msgpack. Whoever keeps it need not know what is in it."""

from __future__ import annotations

import logging

import msgspec

from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.fitting import fitted
from skep.model.task import Task, settled
from skep.store.change import KINDS, Stored

log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
_DECODERS = {kind: msgspec.msgpack.Decoder(cls) for kind, cls in KINDS.items()}
"""Made once, before a thread reads with them (see engine/containers/record.py)."""


def encode(kind: str, stored: Stored) -> bytes:
    """Raises InvalidArgument for what cannot be kept, such as a number beyond 64 bits."""
    try:
        return _encoder.encode(stored)
    except Exception as error:
        raise InvalidArgument(f"{kind} {stored.id} cannot be stored: {error}") from error


def decode(kind: str, object_id: str, body: bytes) -> Stored:
    """What was kept. What an older skep kept beyond the bounds of today is read at the bound, and
    said. Raises ValueError for what cannot be read at all: to go on without it would end it."""
    try:
        try:
            stored = _DECODERS[kind].decode(body)
        except msgspec.ValidationError as error:
            stored = fitted(msgspec.msgpack.decode(body), KINDS[kind])
            log.error("%s %s is read as far as it makes sense: %s", kind, object_id, error)
    except (KeyError, TypeError, *UNDECODABLE) as error:
        raise ValueError(
            f"{kind} {object_id} cannot be read ({error}): the file is damaged, or a newer skep "
            "wrote it: restore it from a backup"
        ) from error
    return settled(stored) if isinstance(stored, Task) else stored
