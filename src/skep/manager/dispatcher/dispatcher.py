"""Holds the sessions of all agents: routes commits to them and watches over their heartbeats."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime

import msgspec

from skep.kit.clock import utc_now
from skep.kit.errors import OutOfSequence, SkepError, Unavailable
from skep.kit.ids import new_id
from skep.manager.ca.registrar import Registrar
from skep.manager.ca.rotation import must_renew
from skep.manager.dispatcher import liveness
from skep.manager.dispatcher.reports import Reports
from skep.manager.dispatcher.session import Session
from skep.model.node import Node, NodeDescription, NodeState, NodeStatus
from skep.model.task import Task
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.messages import (
    PROTOCOL_VERSION,
    Described,
    FromAgent,
    Hello,
    LogFrame,
    Renew,
    Request,
    Standing,
    Statuses,
)
from skep.store.change import Event, Update
from skep.store.store import Lagged, Store, Watch

log = logging.getLogger(__name__)

_TICK_S = 0.25
_HELLO_S = 10.0


class Dispatcher:
    """`run` for as long as this manager leads; `serve` once for each line that an agent opens."""

    def __init__(
        self,
        store: Store,
        registrar: Registrar,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._heard_at: dict[str, float] = {}
        self._reports = Reports(store)
        self._watch: Watch | None = None

    async def start(self) -> None:
        """Begin to watch, and to expect every node; before the first `serve`.

        A session that opened earlier could miss commits, or be called unknown after it was heard.
        """
        self._watch = self._store.watch()
        await self._expect_everyone()

    async def run(self) -> None:
        """Route commits, commit reports, notice losses. Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._route(), name="dispatcher route")
            group.create_task(self._reports.run(), name="dispatcher reports")
            group.create_task(self._watch_over(), name="dispatcher liveness")

    async def serve(self, link: ManagerLink, node_id: str, addr: str) -> None:
        """Speak with the agent of `node_id` (its identity is the line's business) to the end."""
        try:
            hello = await asyncio.wait_for(link.receive(), _HELLO_S)
        except (LinkClosed, TimeoutError):
            link.close()
            return
        session = Session(new_id(), node_id, link, lambda: self._store.view)
        problem = self._refusal(hello, node_id)
        if problem or not isinstance(hello, Hello):
            log.warning("session of node %s refused: %s", node_id, problem)
            await session.end(problem)
            return
        await self._replace(node_id, session)
        try:
            await self._arrived(node_id, hello.description, addr)
            async with asyncio.TaskGroup() as group:
                group.create_task(session.tell(lambda: self._standing(node_id)))
                group.create_task(self._listen(session))
        except* LinkClosed:
            pass
        except* SkepError as errors:
            log.error("session of node %s ended: %s", node_id, errors.exceptions[0])
        finally:
            session.close()
            if self._sessions.get(node_id) is session:
                del self._sessions[node_id]

    async def call(self, node_id: str, request: Request) -> AsyncGenerator[list[LogFrame], None]:
        """Ask a node's engine. Raises Unavailable when the node has no session."""
        session = self._sessions.get(node_id)
        if session is None:
            raise Unavailable(f"node {node_id} is not available")
        async with aclosing(session.call(request)) as answers:
            async for frames in answers:
                yield frames

    def _standing(self, node_id: str) -> Standing:
        """What a node must know of the cluster now. Raises LinkClosed when it was removed."""
        view = self._store.view
        node, secrets = view.node(node_id), view.cluster_secrets()
        if node is None or secrets is None:
            raise LinkClosed(f"node {node_id} was removed from the cluster")
        return Standing(
            node=node,
            heartbeat_s=liveness.heartbeat_s(len(self._heard_at), self._configured_ns()),
            managers=[n.manager_status.addr for n in view.nodes() if n.manager_status],
            roots=self._registrar.roots(),
            renew=must_renew(node, secrets),
        )

    def _configured_ns(self) -> int:
        cluster = self._store.view.cluster()
        return cluster.spec.dispatcher.heartbeat_period if cluster else 0

    def _refusal(self, hello: FromAgent, node_id: str) -> str:
        if not isinstance(hello, Hello):
            return f"expected Hello, got {type(hello).__name__}"
        if hello.version != PROTOCOL_VERSION:
            return (
                f"this manager speaks version {PROTOCOL_VERSION} of the protocol, the node speaks "
                f"{hello.version}: run the same version of skep on both"
            )
        if self._store.view.node(node_id) is None:
            return "the node is not a member of this cluster (was it removed?): join it again"
        return ""

    async def _replace(self, node_id: str, session: Session) -> None:
        before = self._sessions.get(node_id)
        self._sessions[node_id] = session
        if before is not None:
            await before.end("the node opened a newer session")

    async def _listen(self, session: Session) -> None:
        while True:
            message = await session.receive()
            self._heard_at[session.node_id] = time.monotonic()
            if isinstance(message, Statuses):
                for report in message.reports:
                    self._reports.take(session.node_id, report.task_id, report.status)
            elif isinstance(message, Described):
                await self._describe(session.node_id, message.description)
            elif isinstance(message, Renew):
                await session.renewed(
                    await self._registrar.renew(session.node_id, message.signing_request)
                )

    async def _arrived(self, node_id: str, description: NodeDescription, addr: str) -> None:
        self._heard_at[node_id] = time.monotonic()

        def ready(node: Node) -> Node:
            return msgspec.structs.replace(
                node,
                description=description,
                status=NodeStatus(state="ready", addr=addr),
                down_since=None,
            )

        await self._change_node(node_id, ready, "the node's agent opened a session")

    async def _describe(self, node_id: str, description: NodeDescription) -> None:
        await self._change_node(
            node_id,
            lambda node: msgspec.structs.replace(node, description=description),
            "the node described itself anew",
        )

    async def _change_node(self, node_id: str, change: Callable[[Node], Node], why: str) -> None:
        """Commit a change of a node, read again if somebody else wrote it meanwhile."""
        while True:
            node = self._store.view.node(node_id)
            if node is None:
                raise LinkClosed(f"node {node_id} was removed from the cluster")
            wanted = change(node)
            if wanted == node:
                return
            try:
                await self._store.commit([Update(wanted, why)])
            except OutOfSequence:
                continue
            return

    async def _route(self) -> None:
        while True:
            watch, self._watch = self._watch or self._store.watch(), None
            try:
                async for commit in watch:
                    for event in commit.events:
                        await self._route_event(event)
            except Lagged:
                self._watch = self._store.watch()
                for session in list(self._sessions.values()):
                    await session.end("the manager fell behind: begin a new session")
            finally:
                watch.close()

    async def _route_event(self, event: Event) -> None:
        for stored in (event.old, event.new):
            if isinstance(stored, Task) and (session := self._sessions.get(stored.node_id)):
                session.task_changed(stored.id)
        if event.kind == "node" and isinstance(event.old or event.new, Node):
            await self._route_node(event)
        elif event.kind in {"cluster", "cluster-secrets"}:
            for session in self._sessions.values():
                session.standing_changed()

    async def _route_node(self, event: Event) -> None:
        node = event.new or event.old
        assert node is not None
        if event.new is None:
            self._heard_at.pop(node.id, None)
            if session := self._sessions.pop(node.id, None):
                await session.end("the node was removed from the cluster")
        elif event.old is None:
            self._heard_at[node.id] = time.monotonic()
        elif session := self._sessions.get(node.id):
            session.standing_changed()

    async def _expect_everyone(self) -> None:
        """A new leader heard nobody yet: nodes that were ready become unknown, not down."""
        nodes = [node for node in self._store.view.nodes() if node.status.state != "down"]
        head_start = self._grace_s(len(nodes)) * (liveness.NEW_LEADER_FACTOR - 1)
        for node in nodes:
            self._heard_at[node.id] = time.monotonic() + head_start
            await self._set_state(node.id, "unknown", "the manager has just started")

    async def _watch_over(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            lateness = now - before - _TICK_S
            if lateness > 2 * _TICK_S:
                self._heard_at = liveness.after_a_pause(self._heard_at, lateness)
            before = now
            grace = self._grace_s(len(self._heard_at))
            for node_id in liveness.lost(self._heard_at, now, grace):
                await self._declare_down(node_id)

    def _grace_s(self, nodes: int) -> float:
        return liveness.grace_s(nodes, self._configured_ns())

    async def _declare_down(self, node_id: str) -> None:
        self._heard_at.pop(node_id, None)
        log.warning("node %s is down: heartbeat failure", node_id)
        await self._set_state(node_id, "down", "heartbeat failure")
        if session := self._sessions.pop(node_id, None):
            await session.end("no heartbeat was heard in time: begin a new session")

    async def _set_state(self, node_id: str, state: NodeState, message: str) -> None:
        def changed(node: Node) -> Node:
            return msgspec.structs.replace(
                node,
                status=msgspec.structs.replace(node.status, state=state, message=message),
                down_since=self._clock() if state == "down" else None,
            )

        try:
            await self._change_node(node_id, changed, message)
        except LinkClosed:
            pass  # removed meanwhile
        except SkepError as error:
            log.error("node %s cannot be marked %s: %s", node_id, state, error)
            self._heard_at.setdefault(node_id, time.monotonic())
