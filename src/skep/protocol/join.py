"""A node asks to be let in: first whose cluster this is, then, trusting its root, to join it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from skep.kit.errors import Forbidden, InvalidArgument, Unavailable
from skep.model.node import Availability
from skep.protocol.joining import (
    Joined,
    JoinRequest,
    Refused,
    Root,
    RootRequest,
    ToStranger,
    clock_complaint,
)
from skep.protocol.link import LinkClosed
from skep.protocol.messages import Message
from skep.protocol.signing import new_request
from skep.protocol.tls import connect, stranger_context
from skep.protocol.tokens import parse, root_digest

_ANSWER_S = 15.0
_JOIN_S = 30.0
"""For all of it: a manager that is slow at every step is as good as none."""


async def ask_to_join(manager: str, token: str, availability: Availability) -> tuple[str, Joined]:
    """The node's new key (PEM) and what the manager at `manager` (host:port) gave for it.

    Raises InvalidArgument (no token, refused with the manager's reason, a clock that is off),
    Forbidden (not this cluster), Unavailable (no answer in time, or no manager there).
    """
    try:
        async with asyncio.timeout(_JOIN_S):
            return await _join(manager, token, availability)
    except TimeoutError:
        raise Unavailable(
            f"the manager at {manager} did not let this node in within {_JOIN_S:g} s: "
            "is it overloaded?"
        ) from None


async def _join(manager: str, token: str, availability: Availability) -> tuple[str, Joined]:
    expected = parse(token).root_digest
    root = await _ask(manager, None, RootRequest())
    if not isinstance(root, Root):
        raise _refusal(root)
    if root_digest(root.certificate) != expected:
        raise Forbidden(
            f"remote CA does not match fingerprint: the manager at {manager} is of another cluster "
            "than the join token, or the cluster's root was rotated since the token was printed"
        )
    if complaint := clock_complaint(time.time(), root.now_s):
        raise InvalidArgument(complaint)
    key, signing_request = await asyncio.to_thread(new_request)
    request = JoinRequest(token, signing_request, time.time(), availability)
    answer = await _ask(manager, root.certificate, request)
    if not isinstance(answer, Joined):
        raise _refusal(answer)
    return key, answer


async def _ask(manager: str, root: str | None, question: Message) -> ToStranger:
    link: Any = await connect(manager, stranger_context(root), ToStranger)
    try:
        async with asyncio.timeout(_ANSWER_S):
            await link.send(question)
            answer: ToStranger = await link.receive()
            return answer
    except TimeoutError:
        raise Unavailable(
            f"the manager at {manager} did not answer within {_ANSWER_S:g} s: is it overloaded?"
        ) from None
    except LinkClosed as error:
        raise Unavailable(
            f"{manager} hung up ({error}): is a manager of the same version of skep there?"
        ) from None
    finally:
        link.abort()


def _refusal(answer: ToStranger) -> InvalidArgument:
    if isinstance(answer, Refused):
        return InvalidArgument(answer.reason)
    return InvalidArgument(f"the manager answered {type(answer).__name__}: is it another version?")
