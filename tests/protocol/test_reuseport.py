"""The sockets behind the managers' port: each place's callers wait at one of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from skep.kit.errors import Unavailable
from skep.protocol.listener import neighbourhood
from skep.protocol.reuseport import DOORS, open_doors
from skep.testing.control_plane import free_port


@contextmanager
def doors_at(host: str) -> Iterator[tuple[int, list[socket.socket]]]:
    port = free_port()
    doors = open_doors(f"{host}:{port}")
    try:
        yield port, doors
    finally:
        for door in doors:
            door.close()


def door_of(host: str, port: int, doors: list[socket.socket], source: str) -> int:
    """Which of the doors a call from `source` comes to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as caller:
        caller.bind((source, 0))
        caller.connect((host, port))
        for number, door in enumerate(doors):
            try:
                door.accept()[0].close()
            except BlockingIOError:
                continue
            return number
    raise AssertionError("nobody was asked")


def test_all_calls_of_one_address_come_to_one_door_and_neighbours_to_others() -> None:
    with doors_at("127.0.0.1") as (port, doors):

        def door(source: str) -> int:
            return door_of("127.0.0.1", port, doors, source)

        assert len({door("127.0.0.9") for _ in range(20)}) == 1
        assert {door(f"127.0.0.{n}") for n in range(1, DOORS + 1)} == set(range(DOORS))
        assert {door(f"127.{n}.0.1") for n in range(1, DOORS + 1)} == set(range(DOORS))


@pytest.mark.parametrize("listening", ["[::1]", "[::]"])
def test_ipv6_calls_find_their_door(listening: str) -> None:
    with doors_at(listening) as (port, doors):
        assert len({door_of("::1", port, doors, "::1") for _ in range(20)}) == 1


def test_a_port_for_both_families_tells_ipv4_addresses_apart() -> None:
    with doors_at("[::]") as (port, doors):
        places = {door_of("127.0.0.1", port, doors, f"127.0.0.{n}") for n in range(1, DOORS + 1)}
    assert places == set(range(DOORS))
    assert neighbourhood("::ffff:127.0.0.1") != neighbourhood("::ffff:127.0.0.2")
    assert neighbourhood("fd00::1") == neighbourhood("fd00::2") != neighbourhood("fd00:0:0:1::1")


def test_a_full_door_shuts_no_other() -> None:
    with doors_at("127.0.0.1") as (port, doors):
        for door in doors:
            door.listen(4)
        mine = doors[door_of("127.0.0.1", port, doors, "127.0.0.1")]
        with pytest.raises(TimeoutError):
            _call_without_end(port, "127.0.0.2")
        assert door_of("127.0.0.1", port, [mine], "127.0.0.1") == 0


def _call_without_end(port: int, source: str) -> None:
    callers = []
    try:
        while True:
            callers.append(socket.socket())
            callers[-1].settimeout(0.3)
            callers[-1].bind((source, 0))
            callers[-1].connect(("127.0.0.1", port))
    finally:
        for caller in callers:
            caller.close()


def test_an_address_that_is_taken_is_said_so() -> None:
    """Sockets that share an address could otherwise share it with another manager's."""
    with (
        doors_at("127.0.0.1") as (port, _),
        pytest.raises(Unavailable, match="Is another manager there"),
    ):
        open_doors(f"127.0.0.1:{port}")
