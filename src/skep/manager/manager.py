"""One manager: the store, the rooms that decide over it, the dispatcher that sends and hears, and
the port at which nodes and strangers call."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from skep.manager.allocator import Allocator
from skep.manager.ca.authority import Authority
from skep.manager.ca.registrar import Registrar
from skep.manager.ca.rotation import RootRotation
from skep.manager.control import Control
from skep.manager.dispatcher import Dispatcher
from skep.manager.logs import ServiceLogs
from skep.manager.loop import Loop
from skep.manager.orchestrator import Orchestrator
from skep.manager.reaper import Reaper
from skep.manager.room import Room
from skep.manager.scheduler import ConstraintEnforcer, Scheduler
from skep.protocol.joining import Refused
from skep.protocol.link import LinkClosed
from skep.protocol.listener import Listener
from skep.protocol.messages import FromAgent, Goodbye
from skep.protocol.tls import peer_of
from skep.protocol.wire import MAX_FRAME_BYTES, WireLink
from skep.store.sqlite import SqliteLog
from skep.store.store import Store

log = logging.getLogger(__name__)

_RESTART_S = 1.0
_QUESTION_S = 10.0


def rooms() -> list[Room]:
    """The deciding rooms, in the order in which a new task passes through them."""
    return [
        Orchestrator(),
        Allocator(),
        Scheduler(),
        ConstraintEnforcer(),
        Reaper(),
        RootRotation(),
    ]


class Manager:
    """`start` before use; `run` until cancelled; `close` at the end."""

    def __init__(self, state: Path) -> None:
        self.store = Store(SqliteLog(state / "store.db"))
        self.control = Control(self.store, Authority())
        self.registrar = Registrar(self.store)
        self.dispatcher = Dispatcher(self.store, self.registrar)
        self.logs = ServiceLogs(self.store, self.dispatcher)
        self._port: Listener | None = None

    async def start(self) -> None:
        """Read the store and expect its nodes. Raises Unavailable when it cannot be read."""
        await self.store.start()
        await self.dispatcher.start()

    async def listen(self, address: str, context: ssl.SSLContext) -> None:
        """Take callers at `address` (host:port). Raises Unavailable when it is taken."""
        self._port = Listener(address, context, self._serve)
        await self._port.start()

    async def run(self) -> None:
        loop = Loop(self.store, rooms())
        async with asyncio.TaskGroup() as group:
            group.create_task(_forever("the deciding loop", loop.run))
            group.create_task(_forever("the dispatcher", self.dispatcher.run))

    async def close(self) -> None:
        if self._port is not None:
            await self._port.close()
        await self.store.close()

    async def _serve(
        self, link: WireLink[Any, Any], address: str, prove: Callable[[], None]
    ) -> None:
        """A caller came through TLS: a member opens its session, a stranger may ask to join."""
        peer = peer_of(link)
        if peer is None:
            await self._serve_stranger(link, address)
            return
        cluster = self.store.view.cluster()
        if cluster is None or peer.cluster_id != cluster.id:
            self._refuse(address, f"a certificate of another cluster ({peer.cluster_id})")
            return
        if self.store.view.node(peer.node_id) is None:
            self._refuse(address, f"the certificate of {peer.node_id}, which was removed")
            await link.send(Goodbye("the node was removed from the cluster: leave, then join it"))
            return
        prove()
        link.welcome(FromAgent, MAX_FRAME_BYTES)
        await self.dispatcher.serve(link, peer.node_id, address)

    async def _serve_stranger(self, link: WireLink[Any, Any], address: str) -> None:
        try:
            async with asyncio.timeout(_QUESTION_S):
                answer = await self.registrar.answer(await link.receive())
                await link.send(answer)
        except (LinkClosed, TimeoutError) as error:
            self._refuse(address, str(error) or "a caller without a certificate asked nothing")
            return
        if isinstance(answer, Refused):
            self._refuse(address, answer.reason)

    def _refuse(self, address: str, reason: str) -> None:
        if self._port is not None:
            self._port.refusals.say(address, reason)


async def _forever(what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A fault in one part is logged and the part begun anew: its state is all in the store."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed and is started again", what)
        await asyncio.sleep(_RESTART_S)
