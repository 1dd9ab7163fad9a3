"""A loop that hears a crowd in handfuls, and everybody else at once."""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias, TypeVar

import pytest

from skep.kit.patience import PatientSelector, patient_with

_LINES = 250

T = TypeVar("T")
Crowd: TypeAlias = list[tuple[socket.socket, socket.socket]]


class CountingSelector(PatientSelector):
    """Counts how often the loop got up."""

    looks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.looks += 1
        return super().select(timeout)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Pairs of connected sockets; the first of each is patient."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(_LINES)]
        for line, other in pairs:
            line.setblocking(False)
            stack.callback(line.close)
            stack.callback(other.close)
            stack.enter_context(patient_with(line.fileno()))
        yield pairs


def run(
    main: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, T]],
    selector: PatientSelector | None = None,
) -> T:
    loop = asyncio.SelectorEventLoop(selector or PatientSelector())
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()


def test_a_crowd_is_heard_whole_and_in_handfuls(crowd: Crowd) -> None:
    selector = CountingSelector()

    def speak() -> None:
        for _, other in crowd:
            other.send(b"x")
            time.sleep(0.001)

    async def main(loop: asyncio.AbstractEventLoop) -> tuple[int, int]:
        heard: list[bytes] = []

        def hear(line: socket.socket) -> None:
            heard.append(line.recv(1))

        for line, _ in crowd:
            loop.add_reader(line, hear, line)
        await asyncio.sleep(0.3)  # longer than anything keeps it awake
        looks = selector.looks
        await asyncio.to_thread(speak)
        await asyncio.sleep(0.1)
        for line, _ in crowd:
            loop.remove_reader(line)
        return len(heard), selector.looks - looks

    heard, looks = run(main, selector)
    assert heard == _LINES
    assert looks < _LINES / 3  # a quarter of a second, in moments of 20 ms


def test_who_is_not_of_the_crowd_keeps_the_loop_awake(crowd: Crowd) -> None:
    """A chain of answers is not slowed down at every step."""

    async def main(loop: asyncio.AbstractEventLoop) -> float:
        there, here = socket.socketpair()
        with there, here:
            for each in (there, here):
                each.setblocking(False)
            await asyncio.sleep(0.3)
            began = time.monotonic()
            for _ in range(100):
                await asyncio.to_thread(lambda: None)
                await loop.sock_sendall(there, b"x")
                assert await loop.sock_recv(here, 1) == b"x"
            return time.monotonic() - began

    assert run(main) < 1.0  # 300 waits of 20 ms would be 6 s


def test_timers_are_kept(crowd: Crowd) -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> float:
        await asyncio.sleep(0.3)
        began = time.monotonic()
        for _ in range(50):
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    assert run(main) < 0.6  # 50 waits of 20 ms would be 1 s
