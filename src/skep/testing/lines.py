"""Lines between an agent and a manager, on sockets of this process."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from skep.protocol.messages import FromAgent, FromManager
from skep.protocol.wire import WireLink


async def wire_links() -> tuple[WireLink[Any, Any], WireLink[Any, Any]]:
    """An agent's end and a manager's, over a socket pair."""
    loop = asyncio.get_running_loop()
    ends: list[WireLink[Any, Any]] = []
    for end, incoming in zip(socket.socketpair(), (FromManager, FromAgent), strict=True):
        _, link = await loop.create_connection(partial(WireLink[Any, Any], incoming), sock=end)
        ends.append(link)
    return ends[0], ends[1]
