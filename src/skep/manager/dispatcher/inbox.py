"""What an agent asks of its manager that takes time: answered beside its session, one at a time."""

from __future__ import annotations

import asyncio
import logging

from skep.kit.errors import SkepError
from skep.kit.share import Allowance
from skep.manager.ca.registrar import Registrar
from skep.manager.dispatcher.nodes import NodeStates
from skep.manager.dispatcher.session import AgentSession
from skep.protocol.link import LinkClosed
from skep.protocol.messages import Described, Farewell, FromAgent, NotRenewed, Renew

log = logging.getLogger(__name__)


_RATE, _BURST = 2.0, 20.0


class Inbox:
    """Holds the newest of each kind, so an agent that asks without end fills nothing; and answers
    within an allowance, so it keeps nobody busy either."""

    def __init__(self, session: AgentSession, registrar: Registrar, nodes: NodeStates) -> None:
        self._session = session
        self._registrar = registrar
        self._nodes = nodes
        self._waiting: dict[type, FromAgent] = {}
        self._news = asyncio.Event()
        self._allowance = Allowance(_RATE, _BURST)

    def put(self, message: FromAgent) -> None:
        """Raises LinkClosed for what has no place in a session."""
        if not isinstance(message, Described | Renew | Farewell):
            raise LinkClosed(f"a {type(message).__name__} in the middle of a session")
        self._waiting[type(message)] = message
        self._news.set()

    async def attend(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                _, message = self._waiting.popitem()
                await self._allowance.turn()
                await self._answer(message)

    async def _answer(self, message: FromAgent) -> None:
        match message:
            case Described():
                await self._nodes.described(self._session.node_id, message.description)
            case Renew():
                await self._renew(message)
            case Farewell():
                await self._nodes.lost([self._session.node_id], "the node left the cluster")
                self._session.end("farewell")

    async def _renew(self, message: Renew) -> None:
        try:
            answer = await self._registrar.renew(self._session.node_id, message.signing_request)
        except SkepError as error:
            log.error("no new certificate for node %s: %s", self._session.node_id, error)
            self._session.say(NotRenewed(str(error)))
        else:
            self._session.say(answer)
