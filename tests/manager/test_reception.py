"""Who may say what at the managers' port: by the certificate, and by what the cluster wants of the
node. The table is made up: it lets managers, and nobody else, say one word more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from skep.agent.identity import Identity
from skep.kit.clock import utc_now
from skep.manager.ca import authority
from skep.manager.reception import Reception
from skep.model.node import NodeDescription, Role
from skep.protocol.joining import RootRequest
from skep.protocol.link import LinkClosed, ManagerLink
from skep.protocol.messages import FromAgent, FromManager, Hello, Message
from skep.protocol.signing import new_request
from skep.protocol.tls import connect
from skep.protocol.wire import BadFrame
from skep.protocol.words import WORDS, Words
from skep.store.change import Update
from skep.testing.control_plane import ControlPlane, FakeNode, free_port

HOUR_NS = 3600 * 10**9
HELLO = Hello(NodeDescription(hostname="n1"))


class Forward(Message, frozen=True):
    """A manager's word, for this test."""


TABLE = {**WORDS, "manager": Words(FromAgent | Forward, 64 * 1024)}


class Port:
    """Takes down what is said, and by whom; hangs up after one word."""

    def __init__(self, plane: ControlPlane) -> None:
        manager = plane.manager
        self.address = f"127.0.0.1:{free_port()}"
        self.heard: list[object] = []
        self.reception = Reception(
            lambda: manager.store.view, manager.registrar, self._serve, TABLE
        )

    async def _serve(self, link: ManagerLink, node_id: str, address: str) -> None:
        try:
            self.heard.append(await link.receive())
        except BadFrame:
            self.heard.append("not a word of theirs")

    async def hears(self, identity: Identity, word: Message) -> object:
        """What came of it when a member with this identity said the word."""
        link: Any = await connect(self.address, identity.client_context(), FromManager)
        await link.send(word)
        async with asyncio.timeout(10):
            with pytest.raises(LinkClosed):
                await link.receive()
        return self.heard.pop()


@pytest.fixture
async def port(plane: ControlPlane) -> AsyncIterator[Port]:
    port = Port(plane)
    await port.reception.open(port.address, plane.own.identity.server_context)
    yield port
    await port.reception.close()


async def enrolled(plane: ControlPlane) -> FakeNode:
    """A worker that never opens a session."""
    return await plane.enrol("n1")


def with_certificate(plane: ControlPlane, node: FakeNode, role: Role) -> Identity:
    """The node's identity with a certificate for this role."""
    secrets = plane.manager.store.view.cluster_secrets()
    assert secrets is not None
    key, request = new_request()
    certificate = authority.sign(secrets, request, node.id, role, HOUR_NS, utc_now())
    node.identity.install(key, certificate, authority.roots(secrets))
    return node.identity


async def want(plane: ControlPlane, node: FakeNode, role: Role) -> None:
    store = plane.manager.store
    stored = store.view.node(node.id)
    assert stored is not None
    await store.commit([Update(replace(stored, spec=replace(stored.spec, role=role)))])


async def test_a_manager_says_what_managers_and_agents_may(plane: ControlPlane, port: Port) -> None:
    assert await port.hears(plane.own.identity, Forward()) == Forward()
    assert await port.hears(plane.own.identity, HELLO) == HELLO


async def test_a_worker_is_refused_for_a_manager_s_word(plane: ControlPlane, port: Port) -> None:
    node = await enrolled(plane)
    assert await port.hears(node.identity, HELLO) == HELLO
    assert await port.hears(node.identity, Forward()) == "not a word of theirs"


async def test_a_member_is_refused_for_a_stranger_s_word(plane: ControlPlane, port: Port) -> None:
    assert await port.hears(plane.own.identity, RootRequest()) == "not a word of theirs"


async def test_a_node_that_was_demoted_is_heard_as_a_worker(
    plane: ControlPlane, port: Port
) -> None:
    """It still has a manager's certificate, and must be able to renew it."""
    node = await enrolled(plane)
    identity = with_certificate(plane, node, "manager")
    await want(plane, node, "manager")
    assert await port.hears(identity, Forward()) == Forward()
    await want(plane, node, "worker")
    assert await port.hears(identity, Forward()) == "not a word of theirs"
    assert await port.hears(identity, HELLO) == HELLO


async def test_a_node_that_was_promoted_is_a_manager_once_its_certificate_says_so(
    plane: ControlPlane, port: Port
) -> None:
    node = await enrolled(plane)
    await want(plane, node, "manager")
    assert await port.hears(node.identity, Forward()) == "not a word of theirs"
    identity = with_certificate(plane, node, "manager")
    assert await port.hears(identity, Forward()) == Forward()
