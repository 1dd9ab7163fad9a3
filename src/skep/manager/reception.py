"""Who calls at the managers' port, and what they may say there: members open their sessions,
strangers ask to join."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from skep.manager.ca.registrar import Registrar
from skep.model.node import Role
from skep.protocol.joining import Refused
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.listener import Listener
from skep.protocol.messages import Goodbye
from skep.protocol.tls import Caller, caller_of
from skep.protocol.wire import BadFrame, WireLink
from skep.protocol.words import WORDS, Table
from skep.store.change import View

_LINES_A_NODE = 4
"""A node needs one, and for a moment a second when it comes back before we saw it go."""

Serve = Callable[[ManagerLink, str, str], Awaitable[None]]
"""Speak with the agent of a node (its id, its address) to the end of the line."""


class Reception:
    """The port of one manager, from `open` to `close`."""

    def __init__(
        self,
        view: Callable[[], View],
        registrar: Registrar,
        serve: Serve,
        words: Table = WORDS,
    ) -> None:
        self._view = view
        self._registrar = registrar
        self._serve_agent = serve
        self._words = words
        self._lines: Counter[str] = Counter()
        self._port: Listener | None = None

    @property
    def unproven(self) -> int:
        """Callers that did not yet prove who they are."""
        return self._port.unproven if self._port is not None else 0

    async def open(self, address: str, context: Callable[[], ssl.SSLContext]) -> None:
        """Take callers at `address` (host:port). Raises Unavailable when that cannot be."""
        port = Listener(address, context, self._serve)
        await port.start()
        self._port = port

    async def close(self) -> None:
        if self._port is not None:
            await self._port.close()
            self._port = None

    async def _serve(
        self, link: WireLink[Any, Any], address: str, prove: Callable[[], None]
    ) -> None:
        """A caller came through TLS."""
        try:
            caller = caller_of(link)
            if caller is None:
                await self._serve_stranger(link, address)
            elif refusal := self._refusal(caller):
                self._refuse(address, refusal.reason, caller.node_id)
                await link.send(refusal)
            else:
                prove()
                await self._serve_member(link, address, caller)
        except BadFrame as error:
            self._refuse(address, "it does not speak our protocol", str(error))
        except LinkClosed:
            self._refuse(address, "it hung up before it said what it wants")

    async def _serve_member(self, link: WireLink[Any, Any], address: str, caller: Caller) -> None:
        link.welcome(*self._words[self._role(caller)])
        node_id = caller.node_id
        self._lines[node_id] += 1
        try:
            await self._serve_agent(link, node_id, address)
        finally:
            self._lines[node_id] -= 1
            if not self._lines[node_id]:
                del self._lines[node_id]

    async def _serve_stranger(self, link: WireLink[Any, Any], address: str) -> None:
        answer = await self._registrar.answer(await link.receive())
        await link.send(answer)
        if isinstance(answer, Refused):
            self._refuse(address, "a node that wants to join", answer.reason)

    def _refusal(self, caller: Caller) -> Goodbye | None:
        """Why a caller with a certificate of ours is not welcome. The handshake proved that the
        cluster signed it, not that the node is still a member."""
        cluster = self._view().cluster()
        if cluster is None or caller.cluster_id != cluster.id:
            return Goodbye("the certificate is another cluster's")
        if self._view().node(caller.node_id) is None:
            return Goodbye("the node was removed from the cluster", removed=True)
        if self._lines[caller.node_id] >= _LINES_A_NODE:
            return Goodbye("the node holds too many lines to this manager already")
        return None

    def _role(self, caller: Caller) -> Role:
        """A manager is who has a manager's certificate and is wanted as one: who was demoted is
        heard as a worker (it must renew), who was promoted as soon as it has renewed."""
        node = self._view().node(caller.node_id)
        wanted = node.spec.role if node is not None else "worker"
        return "manager" if caller.role == wanted == "manager" else "worker"

    def _refuse(self, address: str, reason: str, detail: str = "") -> None:
        if self._port is not None:
            self._port.refusals.say(address, reason, detail)
