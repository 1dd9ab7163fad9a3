"""A registry's address that began with a dash was an option of skopeo's: `docker login` could name
the file that it writes. Found by the fuzz run of the API."""

from __future__ import annotations

import pytest

from skep.testing.daemon import DaemonHost


@pytest.mark.parametrize(
    "address",
    ["--authfile=/dev/shm/taken", "-v", "--", "https://-v", "a b", "a\n", "x" * 300, "*", "[::1"],
)
def test_an_address_that_is_none_reaches_no_program(host: DaemonHost, address: str) -> None:
    wish = {"username": "a", "password": "b", "serveraddress": address}
    answer = host.api("POST", "/auth", wish)
    assert answer.status == 400
    assert answer.message.startswith("invalid registry address")


def test_a_name_that_begins_with_a_dash_is_a_name(host: DaemonHost) -> None:
    for name in ("--version", "-v"):
        wish = {"username": name, "password": "b", "serveraddress": "127.0.0.1:1"}
        assert "connection refused" in host.api("POST", "/auth", wish).message
    wish = {"username": "x" * 200_000, "password": "b", "serveraddress": "127.0.0.1:1"}
    assert host.api("POST", "/auth", wish).status == 400
