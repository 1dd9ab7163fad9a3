"""--cap-add, --cap-drop and --privileged."""

from __future__ import annotations

import pytest

from skep.kit.errors import InvalidArgument
from skep.model.rules.process import CAPABILITIES
from skep.runtime.capabilities import DEFAULT, from_mask, of_this_host, resolve

ALL = frozenset(CAPABILITIES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["NET_ADMIN"], [], DEFAULT | {"CAP_NET_ADMIN"}),
        (["cap_net_admin"], ["CHOWN"], DEFAULT - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}),
        (["ALL"], [], ALL),
        (["all"], ["SYS_ADMIN"], ALL - {"CAP_SYS_ADMIN"}),
        ([], ["ALL"], frozenset()),
        (["CHOWN"], ["ALL"], frozenset({"CAP_CHOWN"})),
    ],
)
def test_words_become_a_set(add: list[str], drop: list[str], expected: frozenset[str]) -> None:
    assert resolve(add, drop, privileged=False, host=ALL) == expected


def test_nobody_gets_more_than_the_host_has() -> None:
    host = ALL - {"CAP_SYS_RESOURCE", "CAP_CHOWN"}
    assert resolve([], [], privileged=True, host=host) == host
    assert resolve(["SYS_RESOURCE"], [], privileged=False, host=host) == DEFAULT - {"CAP_CHOWN"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="SYS_NOTHING"):
        resolve(["SYS_NOTHING"], [], privileged=False, host=ALL)


def test_bits_have_the_kernels_order() -> None:
    assert from_mask(1 | 1 << 21) == {"CAP_CHOWN", "CAP_SYS_ADMIN"}
    assert from_mask(0xA80425FB) == DEFAULT
    assert "CAP_SYS_ADMIN" in of_this_host()
