"""The form in which objects are kept: msgpack. Whoever keeps it need not know what is in it."""

from __future__ import annotations

import logging
from functools import cache

import msgspec

from skep.kit.errors import InvalidArgument, Unavailable
from skep.model.fitting import fitted
from skep.model.task import Task, settled
from skep.store.change import KINDS, Stored

log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()


def encode(kind: str, stored: Stored) -> bytes:
    """Raises InvalidArgument for what cannot be kept, such as a number beyond 64 bits."""
    try:
        return _encoder.encode(stored)
    except Exception as error:
        raise InvalidArgument(f"{kind} {stored.id} cannot be stored: {error}") from error


def decode(kind: str, object_id: str, body: bytes) -> Stored:
    """What was kept. What an older skep kept beyond the bounds of today is read at the bound, and
    said. Raises Unavailable for what cannot be read at all: to go on without it would end it."""
    try:
        return _settled(_decoder(kind).decode(body))
    except msgspec.ValidationError as error:
        log.error("%s %s is read as far as it makes sense: %s", kind, object_id, error)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unreadable(kind, object_id, error) from error
    try:
        return _settled(fitted(msgspec.msgpack.decode(body), KINDS[kind]))
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unreadable(kind, object_id, error) from error


def _settled(stored: Stored) -> Stored:
    return settled(stored) if isinstance(stored, Task) else stored


@cache
def _decoder(kind: str) -> msgspec.msgpack.Decoder[Stored]:
    return msgspec.msgpack.Decoder(KINDS[kind])


def _unreadable(kind: str, object_id: str, error: Exception) -> Unavailable:
    return Unavailable(f"{kind} {object_id} in the cluster's store cannot be read: {error}")
