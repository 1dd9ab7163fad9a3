"""How an agent reaches a manager that is another process: one of those it knows, by TLS."""

from __future__ import annotations

import time

from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.protocol.link import AgentLink
from skep.protocol.messages import FromManager
from skep.protocol.tls import BUSY_S, connect


async def dial(identity: Identity, roster: Roster) -> AgentLink:
    """A line to the next manager. Raises Expired, Unavailable."""
    identity.check_valid(time.time())
    context = identity.client_context()
    return await connect(roster.next_address(), context, FromManager, patience_s=BUSY_S)
