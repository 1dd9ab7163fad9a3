"""Changes are gathered: few transactions, each with what changed, and no lasting damage by one."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.errors import Internal
from skep.network.firewall import Firewall
from skep.network.rules import IPV4, BridgeRules
from skep.network.values import Backend, PublishedPort


class Kernel:
    """Takes transactions, one each turn of the loop; refuses those that mention `poison`."""

    def __init__(self) -> None:
        self.transactions: list[str] = []
        self.poison = "?"

    async def run(self, commands: str) -> str:
        await asyncio.sleep(0)
        if self.poison in commands:
            raise Internal("nftables refused")
        self.transactions.append(commands)
        return ""


def port(number: int, *lasts: int) -> tuple[PublishedPort, ...]:
    backends = tuple(Backend(address=f"172.17.0.{last}", port=80) for last in lasts)
    return (PublishedPort(host_port=number, backends=backends),)


def new() -> tuple[Kernel, Firewall]:
    kernel = Kernel()
    return kernel, Firewall((IPV4,), "skept", kernel.run)


async def test_the_first_transaction_replaces_the_table() -> None:
    kernel, firewall = new()
    await firewall.set_ports("web", port(8080, 2))
    (first,) = kernel.transactions
    assert first.startswith("table ip skept\ndelete table ip skept\ntable ip skept {")


async def test_a_change_says_the_difference_only() -> None:
    kernel, firewall = new()
    await firewall.set_ports("web", port(8080, 2))
    await firewall.set_ports("db", port(5432, 3))
    assert kernel.transactions[1:] == [
        "add chain ip skept tcp-5432\n"
        "add rule ip skept tcp-5432 meta l4proto tcp dnat to 172.17.0.3:80\n"
        "add element ip skept published { tcp . 5432 : goto tcp-5432 }\n"
    ]


async def test_fifty_changes_at_once_are_two_transactions_at_most() -> None:
    kernel, firewall = new()
    await firewall.set_bridges({})
    await asyncio.gather(*(firewall.set_ports(f"c{n}", port(9000 + n, 2)) for n in range(50)))
    assert len(kernel.transactions) <= 3
    assert sum(text.count("add chain") for text in kernel.transactions) == 50


async def test_saying_the_same_again_is_no_transaction() -> None:
    kernel, firewall = new()
    for _ in range(3):
        await firewall.set_ports("web", port(8080, 2))
        await firewall.set_bridges({"n": BridgeRules("b", (), internal=False, masquerade=True)})
    assert len(kernel.transactions) == 2


async def test_what_was_refused_is_forgotten() -> None:
    kernel, firewall = new()
    await firewall.set_ports("web", port(8080, 2))
    kernel.poison = "172.17.0.66"
    with pytest.raises(Internal):
        await firewall.set_ports("web", port(8080, 66))
    with pytest.raises(Internal):
        await firewall.set_ports("bad", port(9090, 66))
    assert firewall.published("web") == port(8080, 2)
    await firewall.set_ports("good", port(7070, 3))
    assert "tcp-7070" in kernel.transactions[-1]
    assert "172.17.0.66" not in kernel.transactions[-1]


async def test_replacing_everything_is_one_transaction() -> None:
    kernel, firewall = new()
    await firewall.set_ports("old", port(8080, 2))
    await firewall.replace({}, {"new": port(9090, 3)})
    assert len(kernel.transactions) == 2
    assert "delete chain ip skept tcp-8080" in kernel.transactions[1]
    assert "add chain ip skept tcp-9090" in kernel.transactions[1]


async def test_an_owner_may_take_what_another_gives_up_at_the_same_time() -> None:
    kernel, firewall = new()
    await firewall.set_ports("old", port(8080, 2))
    await asyncio.gather(firewall.set_ports("old", ()), firewall.set_ports("new", port(8080, 3)))
    assert "dnat to 172.17.0.3:80" in "".join(kernel.transactions[1:])
    assert "delete chain" not in "".join(kernel.transactions[1:])


async def test_a_refused_difference_is_followed_by_the_whole() -> None:
    """Somebody flushed our tables: what a difference begins with is not there."""
    kernel, firewall = new()
    await firewall.set_ports("web", port(8080, 2))
    run = kernel.run

    async def without_tables(commands: str) -> str:
        if not commands.startswith("table"):
            raise Internal("No such file or directory")
        return await run(commands)

    firewall._run = without_tables
    await firewall.set_ports("db", port(5432, 3))
    assert kernel.transactions[-1].startswith("table ip skept\ndelete table ip skept\n")
    assert {"tcp-8080", "tcp-5432"} <= set(kernel.transactions[-1].split())


async def test_only_what_was_written_is_restored() -> None:
    kernel, firewall = new()
    await firewall.restore()
    assert kernel.transactions == []
    await firewall.set_ports("web", port(8080, 2))
    await firewall.restore()
    assert kernel.transactions[0] == kernel.transactions[1]


async def test_strangers_are_dropped_from_the_next_change_on() -> None:
    kernel, firewall = new()
    await firewall.set_ports("web", port(8080, 2))
    assert "strangers drop" not in kernel.transactions[-1]
    firewall.make_router([IPV4])
    await firewall.set_bridges({})
    assert "add rule ip skept strangers drop" in kernel.transactions[-1]
