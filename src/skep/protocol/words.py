"""Who may say what on the managers' port: one table.

What is not in it cannot even be read there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from skep.model.node import Role
from skep.protocol.joining import FromStranger
from skep.protocol.messages import FromAgent
from skep.protocol.wire import MAX_AGENT_FRAME_BYTES, MAX_STRANGER_FRAME_BYTES

Speaker: TypeAlias = Role | Literal["stranger"]
"""A caller without a certificate is a stranger."""


class Words(NamedTuple):
    """The messages that a speaker may send, and how large one may be."""

    messages: Any
    max_frame_bytes: int


Table: TypeAlias = Mapping[Speaker, Words]

WORDS: Table = {
    "stranger": Words(FromStranger, MAX_STRANGER_FRAME_BYTES),
    "worker": Words(FromAgent, MAX_AGENT_FRAME_BYTES),
    "manager": Words(FromAgent, MAX_AGENT_FRAME_BYTES),
}
"""A manager's node has an agent too. What managers say to each other belongs in their row alone."""
