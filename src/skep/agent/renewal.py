"""Renews the node's certificate in good time, or when another root signs. The session goes on."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from skep.agent.identity import Identity
from skep.kit.backoff import Backoff
from skep.kit.errors import Unavailable
from skep.protocol.messages import NotRenewed, Renew, Renewed
from skep.protocol.signing import new_request

log = logging.getLogger(__name__)

_ANSWER_S = 30.0
_FIRST_RETRY_S, _LAST_RETRY_S = 5.0, 600.0
_LOOK_AGAIN_S = 3600.0
"""The clock that waits stands still while the machine sleeps, that of certificates does not."""


class Renewal:
    """The renewals of one session: `run` until cancelled."""

    def __init__(
        self,
        identity: Identity,
        send: Callable[[Renew], Awaitable[None]],
        renewed: Callable[[], Awaitable[None]],
    ) -> None:
        self._identity = identity
        self._send = send
        self._renewed = renewed
        self._wanted_issuer = b""
        self._issuer_changed = asyncio.Event()
        self._answer: asyncio.Future[Renewed | NotRenewed] | None = None
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S, random.Random())

    def want_issuer(self, public_key: bytes) -> None:
        """The certificate should be of the root with this key (DER)."""
        self._wanted_issuer = public_key
        self._issuer_changed.set()

    def answered(self, answer: Renewed | NotRenewed) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    async def run(self) -> None:
        while True:
            await self._until_due()
            if await self._renew():
                self._backoff.reset()
            else:
                await asyncio.sleep(self._backoff.next_s())

    async def _until_due(self) -> None:
        """The moment is drawn once, or each look would draw an earlier one."""
        due_at_s = time.time() + self._identity.renew_in_s(time.time())
        while not self._is_foreign() and time.time() < due_at_s:
            self._issuer_changed.clear()
            try:
                async with asyncio.timeout(min(due_at_s - time.time(), _LOOK_AGAIN_S)):
                    await self._issuer_changed.wait()
            except TimeoutError:
                pass

    def _is_foreign(self) -> bool:
        held = self._identity.tls_info.cert_issuer_public_key
        return bool(self._wanted_issuer) and held != self._wanted_issuer

    async def _renew(self) -> bool:
        key, signing_request = await asyncio.to_thread(new_request)
        self._answer = asyncio.get_running_loop().create_future()
        await self._send(Renew(signing_request))
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._answer
        except TimeoutError:
            answer = NotRenewed(f"the manager did not answer within {_ANSWER_S:g} s")
        if isinstance(answer, NotRenewed):
            log.warning("the certificate was not renewed, trying again: %s", answer.reason)
            return False
        install = self._identity.install
        try:
            await asyncio.to_thread(install, key, answer.certificate, answer.roots)
        except Unavailable as error:
            log.warning("the certificate was not renewed, trying again: %s", error)
            return False
        await self._renewed()
        return True
