"""M1: `since` beyond 64 bits in service logs cut the session of every node that was asked.

What no frame can hold is the error of the call that wanted it; the session goes on.
"""

from __future__ import annotations

import pytest

from skep.kit.errors import SkepError
from skep.manager.logs import Unread
from skep.model.logs import LogOptions, LogSelector
from skep.protocol.messages import Credit
from skep.protocol.wire import pack
from skep.testing.control_plane import ControlPlane


async def test_a_question_that_cannot_be_sent_fails_its_asker_alone(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(1)
    await plane.until(lambda: len(plane.running(service)) == 1)
    session = node.agent._session
    selector = LogSelector(service_ids=(service,))
    for since_ns in (10**20, -(10**20)):
        with pytest.raises(Unread, match="a ReadLogs cannot be sent"):
            async for _ in plane.manager.logs.read(selector, LogOptions(since_ns=since_ns)):
                pass
    async for _ in plane.manager.logs.read(selector, LogOptions()):
        pass
    assert node.agent._session is session
    assert node.agent.connected.is_set()


@pytest.mark.parametrize("size", [2**64, -(2**63) - 1])
def test_packing_raises_an_error_for_people(size: int) -> None:
    with pytest.raises(SkepError, match="a Credit cannot be sent"):
        pack(Credit(1, size))
