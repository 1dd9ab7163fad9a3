"""A manager's port that takes a question and never answers it: asking to join ends all the same."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.clock import utc_now
from skep.kit.errors import Unavailable
from skep.manager.ca import authority
from skep.protocol import join
from skep.protocol.signing import new_request
from skep.protocol.tokens import join_tokens
from skep.testing.control_plane import free_port


@pytest.fixture
async def mute_after_tls(tmp_path: Path) -> AsyncIterator[str]:
    """An address where TLS is done and nothing is said."""
    key, request = new_request()
    secrets = authority.new_secrets("cluster", utc_now())
    given = authority.sign(secrets, request, "m1", "manager", 3600 * 10**9, utc_now())
    file = tmp_path / "manager.pem"
    file.write_text(key + given.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(listen_only, "127.0.0.1", port, ssl=context):
        yield f"127.0.0.1:{port}"


async def test_a_port_that_answers_no_question_is_given_up(
    mute_after_tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "_ANSWER_S", 0.2)
    token = join_tokens(authority.new_secrets("cluster", utc_now())).worker
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0.2 s: is it overloaded\?"):
        await join.ask_to_join(mute_after_tls, token, "active")
    assert 0.2 < time.monotonic() - began < 2
