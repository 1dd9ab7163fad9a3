"""One line to a manager, from Hello to its end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from skep.agent.calls import answers
from skep.agent.identity import Identity
from skep.agent.renewal import Renewal
from skep.agent.roster import Roster
from skep.agent.worker import Worker
from skep.kit.errors import SkepError
from skep.kit.jobs import until_one_ends
from skep.model.node import NodeDescription
from skep.protocol.calls import Calls
from skep.protocol.link import AgentLink, LinkClosed, MessageTooLarge
from skep.protocol.messages import (
    LONGEST_SILENCE_S,
    Assignments,
    Call,
    Chunk,
    Credit,
    Described,
    End,
    Farewell,
    FromManager,
    Goodbye,
    Heartbeat,
    Hello,
    NotRenewed,
    Renewed,
    Standing,
    StandingChanged,
    Statuses,
    TaskReport,
    Welcome,
)

log = logging.getLogger(__name__)

_WELCOME_S = 15.0
_FAREWELL_S = 3.0
_REPORTS_A_PART = 512
_UNEVEN = 0.1
_SHORTEST_BEAT_S = 0.1

Describe = Callable[[], Awaitable[NodeDescription]]


class Removed(SkepError):
    """A manager said that this node is no member of its cluster any more."""


class ManagerSession:
    """`run` it to its end. `is_open` is set while the manager knows all that this node knows."""

    def __init__(
        self,
        link: AgentLink,
        worker: Worker,
        identity: Identity,
        roster: Roster,
        describe: Describe,
        is_open: asyncio.Event,
        chance: random.Random,
    ) -> None:
        self._link = link
        self._worker = worker
        self._identity = identity
        self._roster = roster
        self._describe = describe
        self._chance = chance
        self._calls = Calls(link.send, answers(worker))
        self._renewal = Renewal(identity, link.send, self._redescribe)
        self._reporting = asyncio.Lock()
        self._is_open = is_open
        self.was_open = False
        self._ended = asyncio.Event()
        self._heartbeat_s = 1.0
        self._sequence = -1

    async def run(self) -> None:
        """Raises LinkClosed when the line ends, Removed when the node has no business here."""
        try:
            await self._greet()
            await until_one_ends(self._beat(), self._listen(), self._renewal.run())
        finally:
            self._is_open.clear()
            self._ended.set()
            self._link.close()
            await self._calls.close()

    async def report(self, reports: list[TaskReport]) -> None:
        """Say what was observed. Until the session is open nothing needs to be said: it opens
        with everything."""
        if not self._is_open.is_set():
            return
        async with self._reporting:
            await self._report(reports)

    async def say_farewell(self) -> None:
        """The node leaves: wait a moment until the manager has taken note, then hang up."""
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._link.send(Farewell())
                await self._ended.wait()
        except (LinkClosed, TimeoutError):
            pass
        self._link.close()

    async def _greet(self) -> None:
        await self._link.send(Hello(await self._describe()))
        try:
            async with asyncio.timeout(_WELCOME_S):
                message = await self._link.receive()
        except TimeoutError:
            raise LinkClosed(f"the manager did not answer within {_WELCOME_S:g} s") from None
        if isinstance(message, Goodbye):
            raise _end(message)
        if not isinstance(message, Welcome):
            raise LinkClosed(f"expected Welcome, got {type(message).__name__}")
        await self._stand(message.standing)

    async def _listen(self) -> None:
        while True:
            await self._take(await self._link.receive())

    async def _take(self, message: FromManager) -> None:
        match message:
            case Assignments():
                await self._assign(message)
            case StandingChanged():
                if await self._stand(message.standing):
                    await self._redescribe()
            case Renewed() | NotRenewed():
                self._renewal.answered(message)
            case Call() | Chunk() | Credit() | End():
                self._calls.take(message)
            case Goodbye():
                raise _end(message)
            case Welcome():
                raise LinkClosed("a second Welcome in one session")

    async def _assign(self, message: Assignments) -> None:
        if message.applies_to not in {0, self._sequence}:
            raise LinkClosed("an assignment was missed: beginning anew")
        await self._worker.assign(message)
        self._sequence = message.results_in
        if not self._is_open.is_set() and not message.more:
            async with self._reporting:  # what is observed meanwhile is said after this
                self._is_open.set()
                self.was_open = True
                await self._report(self._worker.reports())

    async def _stand(self, standing: Standing) -> bool:
        """Take note; whether the node trusts others than before."""
        self._heartbeat_s = min(max(_SHORTEST_BEAT_S, standing.heartbeat_s), LONGEST_SILENCE_S)
        await self._roster.learn(standing.managers)
        trusts_others = await self._identity.trust(standing.roots)
        await self._worker.set_node(standing.node)
        self._renewal.want_issuer(standing.issuer)
        return trusts_others

    async def _redescribe(self) -> None:
        await self._link.send(Described(await self._describe()))

    async def _beat(self) -> None:
        """The first beat at once: it says until when the next may take."""
        while True:
            await self._link.send(Heartbeat(self._heartbeat_s))
            early = self._chance.uniform(0, _UNEVEN)
            await asyncio.sleep(self._heartbeat_s * (1 - early))

    async def _report(self, reports: list[TaskReport]) -> None:
        for part in in_parts(reports):
            await self._report_part(part)

    async def _report_part(self, part: list[TaskReport]) -> None:
        try:
            await self._link.send(Statuses(part))
        except MessageTooLarge:
            if len(part) < 2:
                raise
            half = len(part) // 2
            await self._report_part(part[:half])
            await self._report_part(part[half:])


def in_parts(reports: list[TaskReport]) -> Iterator[list[TaskReport]]:
    """As many as go in one message each."""
    for start in range(0, len(reports), _REPORTS_A_PART):
        yield reports[start : start + _REPORTS_A_PART]


def _end(goodbye: Goodbye) -> SkepError:
    return Removed(goodbye.reason) if goodbye.removed else LinkClosed(goodbye.reason)
