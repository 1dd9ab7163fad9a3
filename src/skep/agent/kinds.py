"""What tasks need beside themselves, as the agent reads it, and the kinds on which it must act.

A kind without a row here is kept as the bytes that came, and waited for all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from skep.agent.executor import Executor
from skep.model.network import Network
from skep.model.task import Task
from skep.protocol.messages import Assigned

TASK = "task"
NETWORK = "network"
REGISTRY_AUTH = "registry-auth"


async def _nothing(_executor: Executor, _things: Sequence[Any]) -> None: ...


class Kind(NamedTuple):
    """How a thing of the kind is read, and who is told all of them when one has changed."""

    decoder: msgspec.msgpack.Decoder[Any]
    tell: Callable[[Executor, Sequence[Any]], Awaitable[None]] = _nothing


async def _set_networks(executor: Executor, networks: Sequence[Network]) -> None:
    await executor.set_networks(list(networks))


KINDS = {
    TASK: Kind(msgspec.msgpack.Decoder(Task)),
    NETWORK: Kind(msgspec.msgpack.Decoder(Network), _set_networks),
    REGISTRY_AUTH: Kind(msgspec.msgpack.Decoder(str)),
}
"""Decoders are made once, before a thread reads with them (see engine/containers/record.py)."""


def body_of(assigned: Assigned) -> Any:
    """The thing itself. Raises one of UNDECODABLE when it is not what its kind should be."""
    kind = KINDS.get(assigned.kind)
    return assigned.body if kind is None else kind.decoder.decode(assigned.body)
