"""Subnets from pools and addresses from subnets."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.pools import AddressRange, first_free_subnet, overlap

POOLS = [("172.17.0.0/16", 16), ("10.0.0.0/8", 24)]


def test_the_first_piece_that_overlaps_nothing_is_chosen() -> None:
    assert first_free_subnet(POOLS, []) == "172.17.0.0/16"
    assert first_free_subnet(POOLS, ["172.17.5.0/24"]) == "10.0.0.0/24"
    assert first_free_subnet(POOLS, ["172.16.0.0/12", "10.0.0.0/23"]) == "10.0.2.0/24"
    assert first_free_subnet(POOLS, ["0.0.0.0/0"]) is None


def test_versions_do_not_overlap() -> None:
    assert not overlap("0.0.0.0/0", "::/0")
    assert overlap("10.0.0.0/8", "10.1.0.0/16")


def test_addresses_are_given_lowest_first_and_come_back() -> None:
    addresses = AddressRange("10.0.0.0/29")
    given_out = [addresses.take() for _ in range(6)]
    assert given_out == [f"10.0.0.{n}" for n in range(1, 7)]
    assert addresses.take() is None
    addresses.give_back("10.0.0.3")
    assert addresses.take() == "10.0.0.3"


def test_a_wanted_address_is_given_once_and_must_be_in_the_subnet() -> None:
    addresses = AddressRange("10.0.0.0/24", ip_range="10.0.0.128/25")
    assert addresses.take("10.0.0.5") == "10.0.0.5"
    assert addresses.take("10.0.0.5") is None
    assert addresses.take() == "10.0.0.128"
    for wrong in ("10.0.1.1", "10.0.0.0", "10.0.0.255", "x"):
        with pytest.raises(ValueError, match=r"."):
            addresses.take(wrong)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_nobody_shares_an_address_whatever_the_order(steps: list[tuple[bool, int]]) -> None:
    """Taken and given back at random: always the lowest free one, never one that is held."""
    addresses = AddressRange("10.0.0.0/28")
    held: set[str] = set()
    for take, number in steps:
        if take:
            got = addresses.take()
            free = sorted(
                (a for a in map(str, ipaddress.ip_network("10.0.0.0/28").hosts()) if a not in held),
                key=ipaddress.ip_address,
            )
            assert got == (free[0] if free else None)
            held |= {got} if got else set()
        elif held:
            back = sorted(held)[number % len(held)]
            addresses.give_back(back)
            held.discard(back)
