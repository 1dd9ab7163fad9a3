"""Holds the sessions of all agents: routes commits to them and watches over their heartbeats."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import msgspec

from skep.kit.clock import utc_now
from skep.kit.errors import SkepError, Unavailable
from skep.kit.ids import new_id
from skep.kit.pace import Pacer
from skep.kit.share import Allowance
from skep.kit.term import Over, Term
from skep.manager.ca.registrar import Registrar
from skep.manager.dispatcher import liveness
from skep.manager.dispatcher.assignments import matters
from skep.manager.dispatcher.inbox import Inbox
from skep.manager.dispatcher.kinds import concerned
from skep.manager.dispatcher.liveness import Heartbeats
from skep.manager.dispatcher.nodes import NodeStates
from skep.manager.dispatcher.reports import Reports
from skep.manager.dispatcher.session import HELLO_S, AgentSession, turn_away
from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.node import Node
from skep.model.system import Peer
from skep.model.task import Task
from skep.protocol.calls import Stream
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.messages import (
    PROTOCOL_VERSION,
    FromAgent,
    Heartbeat,
    Hello,
    Standing,
    Statuses,
)
from skep.store.change import Event
from skep.store.store import Store
from skep.store.watch import Lagged

log = logging.getLogger(__name__)

_TICK_S = 0.25
_STRETCHED = 1.2
_TOLD_AT_ONCE, _TOLD_MOMENT_S = 20, 0.02
"""So many sessions are told something at once, and the next after that moment: few never wait for
each other, a crowd is told more at once. A message and its answer cost 0.2 ms of a core, whatever
is in them."""
_OPENINGS_RATE, _OPENINGS_BURST = 2.0, 20.0
_REMOVED = "the node was removed from the cluster"


class Dispatcher:
    """`run` for as long as this manager leads, then `end`; `serve` once for each line that an agent
    opens."""

    def __init__(
        self,
        store: Store,
        registrar: Registrar,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._nodes = NodeStates(store, clock)
        self._sessions: dict[str, AgentSession] = {}
        self._term = Term()
        self._heartbeats = Heartbeats()
        self._openings: defaultdict[str, Allowance] = defaultdict(
            lambda: Allowance(_OPENINGS_RATE, _OPENINGS_BURST)
        )
        self._configured_ns = 0
        self._period_s = liveness.heartbeat_s(0, 0)
        self._managers: list[Peer] = []
        self._turns = Pacer(_TOLD_AT_ONCE, _TOLD_MOMENT_S)
        self._reports = Reports(store, clock)

    async def start(self) -> None:
        """Expect every node; before the first `serve`, because a node that is heard is ready."""
        nodes = [node for node in self._store.view.nodes() if node.status.state != "down"]
        self._set_period(len(nodes))
        patience_s = self._grace_s(self._period_s) * liveness.NEW_LEADER_FACTOR
        for node in nodes:
            self._heartbeats.expect(node.id, patience_s)
        await self._nodes.unheard([n.id for n in nodes], "the manager has just started")
        self._find_managers()

    async def run(self) -> None:
        """Route commits, commit reports, notice losses. After `start`, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._route(), name="dispatcher route")
            group.create_task(self._reports.run(), name="dispatcher reports")
            group.create_task(self._watch_over(), name="dispatcher liveness")

    async def serve(self, link: ManagerLink, node_id: str, addr: str) -> None:
        """Speak with the agent of `node_id` (its identity is the line's business) to the end: of
        the line, or of our leading."""
        try:
            async with self._term.within():
                hello = await self._hello(link, node_id)
                if hello is not None:
                    await self._attend(link, hello, node_id, addr)
        except Over as reason:
            await turn_away(link, str(reason))
        finally:
            link.close()

    async def end(self, reason: str) -> None:
        """Hear and tell nobody any more; every agent is given the reason, those to come too."""
        await self._term.end(reason)

    async def _attend(self, link: ManagerLink, hello: Hello, node_id: str, addr: str) -> None:
        session = AgentSession(
            new_id(),
            node_id,
            link,
            lambda: self._store.view,
            lambda: self._standing(node_id),
            self._turns,
        )
        self._replace(session)
        inbox = Inbox(session, self._registrar, self._nodes)
        try:
            grace_s = self._grace_s(self._period_s)
            self._heartbeats.heard(node_id, grace_s * liveness.NEW_LEADER_FACTOR)
            await self._openings[node_id].turn()  # it may open sessions without end
            await self._nodes.arrived(node_id, hello.description, addr)
            self._heartbeats.heard(node_id, grace_s)  # until now it waited for our welcome
            async with asyncio.TaskGroup() as group:
                group.create_task(session.tell())
                group.create_task(inbox.attend())
                group.create_task(session.listen(self._listener(session, inbox)))
        except* LinkClosed as errors:
            log.info("session of node %s ended: %s", node_id, errors.exceptions[0])
        except* SkepError as errors:
            log.error("session of node %s failed: %s", node_id, errors.exceptions[0])
        finally:
            if self._sessions.get(node_id) is session:
                del self._sessions[node_id]
            await session.close()

    def call(self, node_id: str, request: msgspec.Struct) -> AbstractAsyncContextManager[Stream]:
        """Ask a node's engine. Raises Unavailable when the node has no session."""
        session = self._sessions.get(node_id)
        if session is None:
            raise Unavailable(f"node {node_id} is not available")
        return session.call(request)

    async def _hello(self, link: ManagerLink, node_id: str) -> Hello | None:
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await link.receive()
        except (LinkClosed, TimeoutError):
            link.close()
            return None
        if isinstance(hello, Hello) and hello.version == PROTOCOL_VERSION:
            return hello
        problem = _not_welcome(hello)
        log.warning("session of node %s refused: %s", node_id, problem)
        await turn_away(link, problem)
        return None

    def _replace(self, session: AgentSession) -> None:
        before = self._sessions.get(session.node_id)
        self._sessions[session.node_id] = session
        if before is not None:
            before.end("the node opened a newer session")

    def _standing(self, node_id: str) -> Standing:
        """What a node must know of the cluster now. Raises LinkClosed when it was removed."""
        view = self._store.view
        node, cluster = view.node(node_id), view.cluster()
        if node is None or cluster is None:
            raise LinkClosed(_REMOVED)
        return Standing(
            node=node,
            heartbeat_s=self._period_s,
            managers=self._managers,
            roots=self._registrar.roots(),
            issuer=cluster.tls_info.cert_issuer_public_key,
        )

    # What agents say

    def _listener(self, session: AgentSession, inbox: Inbox) -> Callable[[FromAgent], None]:
        node_id = session.node_id
        period_s = self._period_s

        def take(message: FromAgent) -> None:
            nonlocal period_s
            if isinstance(message, Heartbeat):
                period_s = message.next_s
            elif isinstance(message, Statuses):
                for report in message.reports:
                    self._reports.take(node_id, report.task_id, report.status)
            else:
                inbox.put(message)
            if self._sessions.get(node_id) is session:
                self._heartbeats.heard(node_id, self._grace_s(period_s))

        return take

    # What agents must be told

    async def _route(self) -> None:
        while True:
            watch = self._store.watch()
            self._begin_anew()
            try:
                async for commit in watch:
                    for event in commit.events:
                        self._route_event(event)
                    await asyncio.sleep(0)  # there may be many more
            except Lagged:
                log.warning("the dispatcher fell behind: every session is compared whole")
            finally:
                watch.close()

    def _begin_anew(self) -> None:
        """Commits were missed: by sessions that opened before the watch began, or by us."""
        self._find_managers()
        for node in self._store.view.nodes():
            if node.status.state == "unknown":
                self._heartbeats.expect(node.id, self._grace_s(self._period_s))
        for session in self._sessions.values():
            if self._store.view.node(session.node_id) is None:
                session.end(_REMOVED, removed=True)
            else:
                session.everything_changed()

    def _route_event(self, event: Event) -> None:
        match event.new or event.old:
            case Task():
                if matters(event):
                    self._route_task(event)
            case Node() as node:
                self._route_node(event, node)
            case Cluster() | ClusterSecrets():
                for session in self._sessions.values():
                    session.standing_changed()
        for thing in concerned(event):
            for session in self._sessions.values():
                session.thing_changed(thing)

    def _route_task(self, event: Event) -> None:
        for stored in (event.old, event.new):
            if isinstance(stored, Task) and (session := self._sessions.get(stored.node_id)):
                session.task_changed(stored.id)

    def _route_node(self, event: Event, node: Node) -> None:
        if node.manager_status is not None:
            self._find_managers()
        session = self._sessions.get(node.id)
        if event.new is None:
            self._heartbeats.forget(node.id)
            self._openings.pop(node.id, None)
            if session is not None:
                session.end(_REMOVED, removed=True)
        elif session is not None:
            session.standing_changed()
        elif event.old is None:
            self._heartbeats.expect(node.id, self._grace_s(self._period_s))

    def _find_managers(self) -> None:
        found = [
            Peer(node_id=node.id, addr=node.manager_status.addr)
            for node in self._store.view.nodes()
            if node.manager_status is not None
        ]
        if found != self._managers:
            self._managers = found
            for session in self._sessions.values():
                session.standing_changed()

    # Who is silent

    async def _watch_over(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._set_period(len(self._heartbeats))
            if lost := self._heartbeats.lost():
                await self._declare_down(lost)

    def _set_period(self, nodes: int) -> None:
        """How often agents must speak now. All are told when it is no longer about the same."""
        cluster = self._store.view.cluster()
        self._configured_ns = cluster.spec.dispatcher.heartbeat_period if cluster else 0
        period_s = liveness.heartbeat_s(nodes, self._configured_ns)
        ratio = period_s / self._period_s
        if ratio > _STRETCHED or ratio < 1 / _STRETCHED or (self._configured_ns and ratio != 1):
            self._period_s = period_s
            for session in self._sessions.values():
                session.standing_changed()

    def _grace_s(self, period_s: float) -> float:
        return liveness.grace_s(period_s, self._configured_ns)

    async def _declare_down(self, node_ids: list[str]) -> None:
        """What cannot be written now is tried again with the next tick."""
        try:
            for node_id in await self._nodes.lost(node_ids, "heartbeat failure"):
                log.warning("node %s is down: heartbeat failure", node_id)
        except SkepError as error:
            log.error("nodes that are lost cannot be written down as such: %s", error)
            return
        for node_id in node_ids:
            self._heartbeats.forget(node_id)
            if session := self._sessions.get(node_id):
                session.end("no heartbeat was heard in time: begin a new session")


def _not_welcome(hello: FromAgent) -> str:
    if not isinstance(hello, Hello):
        return f"expected Hello, got {type(hello).__name__}"
    return (
        f"this manager speaks version {PROTOCOL_VERSION} of the protocol, the node speaks "
        f"{hello.version}: run the same version of skep on both"
    )
