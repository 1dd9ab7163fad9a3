"""An agent that stops reading: the others do not notice, the manager's memory neither."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from skep.model.service import (
    ContainerSpec,
    ReplicatedService,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from skep.protocol import wire
from skep.testing.control_plane import ControlPlane, FakeNode

LARGE_ENV = ["LETTER=" + "x" * 100_000]
A_NODE_S = 20
"""Tasks for each node: of this size, more than fits between the two ends."""


def large(replicas: int) -> ServiceSpec:
    return ServiceSpec(
        name="large",
        task_template=TaskSpec(
            container_spec=ContainerSpec(image="app:1", env=LARGE_ENV),
            restart_policy=RestartPolicy(delay=0),
        ),
        mode=ServiceMode(replicated=ReplicatedService(replicas=replicas)),
    )


def narrow(transport: asyncio.Transport) -> None:
    """The kernel keeps little of what was sent and not read."""
    line: socket.socket = transport.get_extra_info("socket")
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        line.setsockopt(socket.SOL_SOCKET, option, 16 * 1024)


def managers_line(plane: ControlPlane, node: FakeNode) -> Any:
    leadership = plane.manager.leadership
    assert leadership is not None
    return leadership.dispatcher._sessions[node.id]._link


def unsent(line: Any) -> int:
    """Bytes of this process that wait for the other end: encrypted, and still to be."""
    tls = line.transport._ssl_protocol
    return int(tls._transport.get_write_buffer_size() + line.transport.get_write_buffer_size())


async def test_an_agent_that_stops_reading_holds_up_nobody_and_comes_back(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wire, "STALL_S", 8.0)
    caplog.set_level("INFO")
    stuck, *others = [await plane.join(name) for name in ("stuck", "one", "two")]
    session, line = stuck.agent._session, managers_line(plane, stuck)
    assert session is not None
    near: Any = session._link
    narrow(line.transport)
    narrow(near.transport)
    await asyncio.sleep(0.3)  # until all that was on its way is read: who reads on is not stuck
    near.transport.pause_reading()

    async def others_run(share: int) -> None:
        wanted = {node.id: share * A_NODE_S for node in others}
        await plane.until(lambda: {n.id: len(n.executor.running) for n in others} == wanted, 5.0)

    service = await plane.manager.control.services.create(large(3 * A_NODE_S))
    await others_run(1)
    await plane.scale(service, 6 * A_NODE_S)
    await others_run(2)
    await plane.until(lambda: not line._writable.is_set())
    held = unsent(line)
    for more in (9, 6):
        await plane.scale(service, more * A_NODE_S)
        await others_run(more // 3)
    assert unsent(line) <= held <= 2 * A_NODE_S * (len(LARGE_ENV[0]) + 5_000)
    assert stuck.agent._session is session
    assert plane.state_of(stuck) == "ready"

    await plane.until(lambda: stuck.agent._session not in (None, session))
    assert f"session of node {stuck.id} ended: the other end took nothing for 8 s" in caplog.text
    await plane.until(lambda: len(stuck.executor.running) == 2 * A_NODE_S)
