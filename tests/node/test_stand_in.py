"""Stand-ins do what a test gives them, and nothing else."""

from __future__ import annotations

import pytest

from skep.engine import Containers
from skep.testing.stand_in import instead_of, stand_in


async def test_what_was_not_given_fails_by_name() -> None:
    with pytest.raises(AssertionError, match=r"Containers\.start was called"):
        await stand_in(Containers).start("c1")


async def test_what_was_given_is_called_and_can_be_given_anew() -> None:
    containers, asked = stand_in(Containers), []

    @instead_of(containers.start)
    async def start(name: str) -> None:
        asked.append(name)

    await containers.start("c1")
    instead_of(containers.resolve)(lambda name: name * 2)
    instead_of(containers.resolve)(lambda name: name * 3)
    assert containers.resolve("c") == "ccc"
    assert asked == ["c1"]
    with pytest.raises(AssertionError, match=r"Containers\.start was called"):
        await stand_in(Containers).start("c1")


def test_only_a_method_of_an_object_can_be_given_another() -> None:
    with pytest.raises(AssertionError, match="no method of an object"):
        instead_of(len)
